// Package bench measures the whole path: a simulated API, the program as it is, its real store on disk, and a receiver
// of frames over TLS. What is measured runs as a process of its own, so that its processor time, memory and
// allocations are of that run alone; API and receiver are another process, the [world], and cost it nothing.
//
// Beside the program the same rows go through two hand-written Go programs with the same transform, so that a
// figure is also a ratio: what a machine does to one, it does to the others.
//
// [Run] is the command, [Figures] lists what can be measured, and [Part] is what the processes run that it starts.
package bench
