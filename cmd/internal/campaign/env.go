package campaign

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// FromEnvironment returns the seed and the size that a person wants: STARLING_SEED, STARLING_FAULTS, STARLING_ROWS, and for the
// campaigns that take a time STARLING_OUTAGE or STARLING_SOAK. What is not set is drawn, or is as in def.
func (c Campaign) FromEnvironment(getenv func(string) string, def Size) (seed uint64, size Size, err error) {
	seed, size = rand.Uint64N(1_000_000), def
	read := func(name string, set func(string) error) {
		if text := getenv(name); text != "" && err == nil {
			if e := set(text); e != nil {
				err = fmt.Errorf("%s: %w", name, e)
			}
		}
	}
	number := func(n *int) func(string) error {
		return func(text string) (err error) { *n, err = strconv.Atoi(text); return err }
	}
	read("STARLING_SEED", func(text string) (err error) { seed, err = strconv.ParseUint(text, 10, 64); return err })
	read("STARLING_FAULTS", number(&size.Faults))
	read("STARLING_ROWS", number(&size.Rows))
	for name, variable := range map[string]string{"outage": "STARLING_OUTAGE", "soak": "STARLING_SOAK"} {
		if c.Name == name {
			read(variable, func(text string) (err error) { size.For, err = time.ParseDuration(text); return err })
		}
	}
	return seed, size, err
}
