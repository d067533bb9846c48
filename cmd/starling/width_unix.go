//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// widthOf is how many characters fit into a line of a terminal, 0 if that is not known.
func widthOf(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// heightOf is how many lines a terminal has, 0 if that is not known.
func heightOf(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
