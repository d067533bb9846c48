//go:build race

package campaign

// raceDetector says that the program under test has it, too.
const raceDetector = true
