//go:build unix

package main

import "syscall"

// keepPrivate has everything that the program creates be for its user only, whatever the caller's umask.
func keepPrivate() { syscall.Umask(0o077) }
