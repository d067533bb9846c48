package builtins

import (
	"time"

	"starling/engine"
)

// backfillDone says how far the job with this id is. Only pulls write it.
type backfillDone struct {
	ID   string    `json:"id"`
	Next time.Time `json:"next"` // what is before is pulled
}

func (it *sweepIterator) backfill() (job engine.Backfill, done backfillDone, err error) {
	ok, err := readJSON(it.pull, engine.BackfillCursor, &job)
	if err != nil || !ok || job.ID == "" {
		return engine.Backfill{}, done, err
	}
	if _, err := readJSON(it.pull, engine.BackfillDoneCursor, &done); err != nil {
		return job, done, err
	}
	if done.ID != job.ID {
		done = backfillDone{ID: job.ID, Next: job.From.UTC().Truncate(time.Second)}
	}
	return job, done, nil
}

// dueBackfill returns the next range of the job. What is not settled yet is left to the other lanes.
func (it *sweepIterator) dueBackfill(settled, now time.Time) (from, to time.Time, err error) {
	job, done, err := it.backfill()
	if err != nil || job.ID == "" || !done.Next.Before(job.To) {
		return
	}
	from, to = done.Next.UTC(), earliest(job.To.UTC(), settled).Truncate(time.Second)
	if floor := it.floor(now); from.Before(floor) && it.pull.APIClock().Heard() {
		gap := earliest(floor, to)
		tooOld(it.pull, from, gap, "lane", laneBackfill)
		if from, err = gap, it.backfilled(gap); err == nil {
			err = it.pull.Commit()
		}
		if err != nil {
			return
		}
	}
	if !job.Again {
		if from, to, err = it.find(from, to, unsettled); err != nil {
			return
		}
	}
	if to.Sub(from) < time.Second { // nothing is left of it
		err = it.backfilled(job.To)
	}
	return
}

// backfilled notes how far the job is.
func (it *sweepIterator) backfilled(next time.Time) error {
	_, done, err := it.backfill()
	if err != nil || done.ID == "" {
		return err
	}
	done.Next = latest(done.Next, next.UTC())
	return setJSON(it.pull, engine.BackfillDoneCursor, done)
}
