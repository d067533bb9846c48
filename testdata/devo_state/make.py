#!/usr/bin/env python3
"""Writes the pickles of this folder: python3 make.py"""
import datetime as dt
import pickle

utc = dt.datetime(2026, 5, 4, 3, 2, 1, 987654)
shared = ["one", "two"]
all_kinds = {
    "@persistence_version": 1,
    "none": None,
    "yes": True,
    "no": False,
    "ints": [0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**63, -(2**100)],
    "floats": [0.0, -1.5, 1e300],
    "text": "ünïcode ✓ 𝄞",
    "long text": "x" * 300,
    "bytes": b"\x00\xff",
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "nested": {"a": {"b": [{"c": 1}]}},
    "many": list(range(1500)),
    1: "a key that is no text",
    "shared": [shared, shared],
}
for protocol in (2, 3, 4, 5):
    values = dict(all_kinds)
    if protocol == 2:
        del values["bytes"]  # Python 3 writes a call for them
    if protocol >= 4:
        values["sets"] = [{7}, frozenset([8])]
    if protocol == 5:
        values["bytearray"] = bytearray(b"\x01\x02")
    with open(f"all_{protocol}.pickle", "wb") as f:
        pickle.dump(values, f, protocol)

times = {
    "naive": utc,
    "utc": utc.replace(tzinfo=dt.timezone.utc),
    "east": utc.replace(tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
    "west": utc.replace(tzinfo=dt.timezone(dt.timedelta(hours=-8), "PST")),
    "delta": dt.timedelta(days=-1, seconds=5, microseconds=7),
}
for protocol in (3, 4, 5):
    with open(f"times_{protocol}.pickle", "wb") as f:
        pickle.dump(times, f, protocol)


class Message:
    def __init__(self):
        self.content = "an event"


def itself():
    loop = []
    loop.append(loop)
    return loop


def laughs():
    values = ["ha"]
    for _ in range(60):
        values = [values, values]
    return values


def deep():
    values = []
    for _ in range(150):
        values = [values]
    return values


class Harm:
    def __reduce__(self):
        return print, ("this must not run",)


refused = {
    "object": {"queue": [Message()]},
    "call": Harm(),
    "itself": itself(),
    "laughs": laughs(),
    "deep": deep(),
    "date": {"day": dt.date(2026, 5, 4)},
}
for name, value in refused.items():
    with open(f"refused_{name}.pickle", "wb") as f:
        pickle.dump(value, f, 5)

with open("state.pickle", "wb") as f:
    pickle.dump(
        {
            "@persistence_version": 1,
            "reset_persistence_auth": "2026-01-01",
            "last_end_time_in_utc": "2026-05-04T03:02:01.987654",
            "initial_start_time_in_utc": "2026-05-01T00:00:00Z",
            "access_token": "a plain token",
            "last_ids": ["0b1c", "0b1d"],
        },
        f,
        5,
    )
