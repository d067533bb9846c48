//go:build !unix

package main

// keepPrivate has nothing to do where folders hand their rights down.
func keepPrivate() {}
