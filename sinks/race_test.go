//go:build race

package sinks

// manyEvents is fewer with the race detector, under which each is dear.
const manyEvents = 20_000
