package engine

import "strings"

// LookupsGone is what a person is told who wants to write a lookup.
const LookupsGone = "Devo has discontinued lookups that are sent as events since 2026-01-01: keep them with its Lookups REST API, " +
	"https://api-us.devo.com/lookup-api/lookup/<domain> (api-eu in Europe), with a bearer token"

// IsLookupTag reports whether events with a tag were commands or rows of a lookup.
func IsLookupTag(tag string) bool {
	return strings.HasPrefix(tag+".", "my.lookup.control.") || strings.HasPrefix(tag+".", "my.lookup.data.")
}
