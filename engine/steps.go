package engine

// A step is a place in the store at which a crash leaves something half done. Tests kill the process
// there, at each in turn.
type step string

const (
	stepOpened    step = "opened"    // the database is open, nothing is read
	stepLeftovers step = "leftovers" // leftovers of a crash are known, not deleted
	stepCleaned   step = "cleaned"   // leftovers are deleted
	stepOutputs   step = "outputs"   // the outputs are about to be noted
	stepNoted     step = "noted"     // the outputs are noted
	stepCommit    step = "commit"    // a group of commits begins
	stepPart      step = "part"      // before each part that is written past the head
	stepPastHead  step = "past head" // everything is written past the head, nothing points at it
	stepWiped     step = "wiped"     // keys are wiped, cursors are not
	stepInside    step = "inside"    // the transaction is filled, not committed
	stepCommitted step = "committed" // it is committed, the store's memory does not know
	stepAnswer    step = "answer"    // all is done, the pulls have not been told
	stepForget    step = "forget"    // old keys are about to be deleted
	stepForgotten step = "forgotten" // old keys are deleted
	stepAck       step = "ack"       // an acknowledgement is about to be noted
	stepAcked     step = "acked"     // it is noted, its chunks are still there
	stepTrim      step = "trim"      // chunks are about to be deleted
	stepTrimmed   step = "trimmed"   // chunks are deleted
	stepRemove    step = "remove"    // segments that nobody needs are about to be removed
	stepReclaim   step = "reclaim"   // unused room is about to be given back
	stepFlush     step = "flush"     // the newest deletions are about to be written to a table
	stepFlushed   step = "flushed"   // they are, not yet merged
	stepReclaimed step = "reclaimed" // all tables are merged
	stepClose     step = "close"     // the database is about to be closed
)

// at tells a test that a step is reached. In production nobody listens.
func (s *Store) at(name step) {
	if s.onStep != nil {
		s.onStep(name)
	}
}
