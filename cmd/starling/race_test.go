//go:build race

package main

// raceDetector says that everything is several times slower than it is for users.
const raceDetector = true
