package engine

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// A Tape is a pull with everything that came to it from outside: what the script's world was when it
// began, and each answer with its time. Replay runs it again, without a network, and it comes to the same.
type Tape struct {
	Collector string
	Script    string // its file
	Version   string // and hash
	Started   time.Time
	// Time is how long the pull could take; zero if it could take any time.
	Time time.Duration
	// Seed is what chance was drawn from.
	Seed     uint64
	Limits   Limits
	Requests []RequestLimit
	Network  NetworkRules
	// Settings are those that the script reads, and Secret the names of those that nobody may see.
	Settings map[string]any
	Secret   []string
	// Identity is where tokens of the machine came from; empty for the place that clouds have.
	Identity string
	Before   Before
	// Given is what builtins knew of earlier pulls, by a name of theirs.
	Given     map[string]json.RawMessage
	Tokens    []GivenToken
	Exchanges []*Exchange
	// Left is what was asked beside the script for nothing.
	Left []LeftLane
	// Commits are the moments after the commits.
	Commits []time.Duration
	// Handover is how many commits there were when another version of the script took over; 0 if none did.
	Handover int
	// End is why the pull ended before its script did; nil if it did not.
	End *TapeEnd
	// Cut says that there was more than may be kept.
	Cut bool

	// Sources are the script with all that it could load; nil for a tape that was read.
	Sources *Sources
	// Stats, After and Err are what became of the pull.
	Stats PullStats
	After map[string]json.RawMessage
	Err   error
	// Sum is a hash of its events.
	Sum []byte

	lookups []bool // whether each row that was looked up had been sent before the pull
}

// Before is a collector's state when a pull began.
type Before struct {
	Cursors map[string]json.RawMessage
	Keys    []HourKey
	Marks   []Mark
	Hours   []HourCount
}

// A HourKey is a remembered key with the bucket that it is remembered in.
type HourKey struct {
	Bucket int64
	Key    Key
}

// NetworkRules are the rules of a Network as texts.
type NetworkRules struct {
	Hosts    []string `json:"hosts,omitempty"`
	Private  []string `json:"private,omitempty"`
	Prefixes []string `json:"prefixes,omitempty"`
	Named    []string `json:"named,omitempty"`
}

// A GivenToken is a token that the pull did not get itself. Times count from its start.
type GivenToken struct {
	Source  int           `json:"source"` // counts the sources of tokens, in the order of their first use
	At      time.Duration `json:"at"`     // when it was there
	Renew   time.Duration `json:"renew"`
	Expires time.Duration `json:"expires"`
}

// A TapeEnd is the end of a pull that its script did not choose.
type TapeEnd struct {
	At     time.Duration `json:"at"`
	Cause  string        `json:"cause"`
	Asked  bool          `json:"asked,omitempty"`  // somebody asked for it; else its time was up
	Engine bool          `json:"engine,omitempty"` // the engine did
}

// An Exchange is a request with its answer, or why there was none. Times count from the pull's start.
type Exchange struct {
	// Lane is 0 for what the script waits for, and counts what was asked beside it.
	Lane int
	// Queued are the waits for a turn in a quota before it.
	Queued []QueuedTurn

	Method, URL string
	Header      http.Header
	Body        []byte
	Sent        time.Duration

	Status int // 0: there was no answer
	Answer http.Header
	Data   []byte
	// Length is what Content-Length says; -1 if it says nothing.
	Length       int64
	Headed, Done time.Duration // the header and all of it were there
	// Set is how much the machine's clock was set by since the start.
	Set time.Duration
	// Fault is why there is no answer, or why its body is not whole.
	Fault *Fault
	// Paused is how long a quota was closed by the answer.
	Paused time.Duration

	direct  bool
	taken   bool
	dropped bool
}

// A LeftLane is work beside a script that left the loop which it was for.
type LeftLane struct {
	Lane     int   `json:"lane"`
	Requests int64 `json:"requests,omitempty"`
	Retries  int64 `json:"retries,omitempty"`
}

// A QueuedTurn is a wait for a turn in a quota.
type QueuedTurn struct {
	Take   int           `json:"take"` // counts the quotas that were asked for this request
	Waited time.Duration `json:"waited"`
	At     time.Duration `json:"at"` // when it was over
}

// A Fault is an error of the network, as far as it matters to what asks.
type Fault struct {
	Text string        `json:"text"`
	Code Code          `json:"code,omitempty"` // of one that sending again does not help against
	Hint string        `json:"hint,omitempty"`
	Wait time.Duration `json:"wait,omitempty"`
	// Certificate says that the server's certificate was refused.
	Certificate bool `json:"certificate,omitempty"`
	// Unsent says that a quota did not let the request through.
	Unsent bool `json:"unsent,omitempty"`
	// Late says that the time of the request was up.
	Late bool `json:"late,omitempty"`
	// Left says that the script left the loop meanwhile.
	Left bool `json:"left,omitempty"`
	// Ended says that the pull ended meanwhile.
	Ended bool `json:"ended,omitempty"`
}

// A Recorder wants tapes of pulls.
type Recorder struct {
	// Limit bounds what a tape holds of requests and answers, bytes as they come over the network; nothing is
	// recorded while it is 0.
	Limit func() int64
	// Keep gets the tape of a pull that has ended, in the goroutine of its collector.
	Keep func(*Tape)
}

var (
	errNotRecorded = errors.New("the recording has no answer to this request")
	errRecordedOut = errors.New("the recording ends here: the pull had more answers than may be kept")
	errLeftThere   = errors.New("the recording was broken off here: the script had left the loop")
)
