package builtins

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// testMethods are the steps that answer true or false. They look at missing values too.
var testMethods = map[string]fieldMethod{
	"eq":      fieldEq,
	"one_of":  fieldOneOf,
	"missing": presence(true),
	"present": presence(false),
	"ip_in":   fieldIPIn,
}

// presence makes missing() and present().
func presence(want bool) fieldMethod {
	return func(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
		if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
			return nil, err
		}
		return e.then(b.Name()+"()", func(r *run, c cell) cell { return boolCell(c.missing() == want) }).asTest(), nil
	}
}

func fieldEq(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var v starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "value", &v); err != nil {
		return nil, err
	}
	same, err := equalTo(v)
	if err != nil {
		return nil, fmt.Errorf("eq: %w", err)
	}
	return e.then("eq("+v.String()+")", func(r *run, c cell) cell { return boolCell(same(c)) }).asTest(), nil
}

func fieldOneOf(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var values starlark.Iterable
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "values", &values); err != nil {
		return nil, err
	}
	var tests []func(cell) bool
	var names []string
	for v := range starlark.Elements(values) {
		same, err := equalTo(v)
		if err != nil {
			return nil, fmt.Errorf("one_of: %w", err)
		}
		tests, names = append(tests, same), append(names, v.String())
	}
	return e.then("one_of(["+strings.Join(names, ", ")+"])", func(r *run, c cell) cell {
		for _, same := range tests {
			if same(c) {
				return boolCell(true)
			}
		}
		return boolCell(false)
	}).asTest(), nil
}

// equalTo returns a test for one constant. Numbers compare by value, everything else by kind and value.
func equalTo(v starlark.Value) (func(cell) bool, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return cell.missing, nil
	case starlark.Bool:
		want := boolCell(bool(v))
		return func(c cell) bool { return c.kind == boolean && c.num == want.num }, nil
	case starlark.String:
		return func(c cell) bool {
			if c.kind == moment {
				return string(c.appendMoment(nil)) == string(v)
			}
			s, ok := c.str()
			return ok && s == string(v)
		}, nil
	case starlark.Int:
		if want, ok := v.Int64(); ok {
			return func(c cell) bool {
				n, ok := c.int64()
				return ok && n == want
			}, nil
		}
	case starlark.Float:
		return func(c cell) bool {
			s, ok := c.scalar()
			f, err := strconv.ParseFloat(s, 64)
			return ok && err == nil && c.isNumber() && f == float64(v)
		}, nil
	}
	return nil, fmt.Errorf("got %s, want a string, an int, a float, a bool or None", v.Type())
}

// fieldIPIn tests whether an address is in one of some networks. What is no address is in none.
func fieldIPIn(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	var list starlark.Iterable
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "networks", &list); err != nil {
		return nil, err
	}
	var networks []netip.Prefix
	for v := range starlark.Elements(list) {
		s, ok := starlark.AsString(v)
		if !ok {
			return nil, fmt.Errorf("ip_in: got %s, want networks such as \"10.0.0.0/8\"", v.Type())
		}
		p, err := parseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("ip_in: %w", err)
		}
		networks = append(networks, p)
	}
	return e.then(fmt.Sprintf("ip_in(%v)", networks), func(r *run, c cell) cell {
		addr, ok := c.address()
		for _, p := range networks {
			if ok && p.Contains(addr) {
				return boolCell(true)
			}
		}
		return boolCell(false)
	}).asTest(), nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("got %q, want a network such as \"10.0.0.0/8\" or an address", s)
	}
	return p.Masked(), nil
}

// address reads an IP address, also in brackets or with a port. An IPv4 address in IPv6 clothes is
// taken as what it is.
func (c cell) address() (netip.Addr, bool) {
	s, ok := c.str()
	if !ok {
		return netip.Addr{}, false
	}
	s = strings.TrimSpace(s)
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s += ":0"
	}
	addr, err := netip.ParseAddrPort(s)
	return addr.Addr().Unmap().WithZone(""), err == nil
}

// toAddressKind names the kind of an IP address: public, private (RFC 1918, RFC 4193), loopback,
// link_local, multicast, shared (RFC 6598, behind a carrier's NAT) or unspecified.
func toAddressKind(c cell) (cell, bool) {
	addr, ok := c.address()
	return cell{form: form{kind: plain}, text: addressKind(addr)}, ok
}

func addressKind(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLoopback():
		return "loopback"
	case a.IsPrivate():
		return "private"
	case a.IsLinkLocalUnicast():
		return "link_local"
	case a.IsMulticast():
		return "multicast"
	case netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a):
		return "shared"
	default:
		return "public"
	}
}
