//go:build !race

package sinks

const manyEvents = 100_000
