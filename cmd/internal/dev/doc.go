// Package dev is the loop of starling dev: at each save of a script a pull, from a recording or of the real API, and
// what it gives now. Session makes Results; Text shows one to a person.
package dev
