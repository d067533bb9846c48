// Package campaign breaks things while the real program runs, and counts what became of the events.
//
// A campaign starts `starling run` as users do, as a process, between a simulated Microsoft and a receiver, draws faults from a seed,
// and at the end compares what was received with what there was. Every campaign promises the same: nothing is lost, nothing
// arrives that nobody sent, and events come in order. What arrives twice is counted.
//
// Tests run each campaign small. [All] at full size is what .ci/nightly runs:
//
//	.ci/nightly campaigns          everything
//	.ci/nightly kills stall        two of them
//	STARLING_SOAK=10m .ci/nightly soak
//
// A run prints its seed; STARLING_SEED draws the same faults again. The moments at which they hit depend on the machine.
package campaign
