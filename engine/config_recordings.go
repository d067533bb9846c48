package engine

// Recordings says which pulls are recorded, and what of them.
type Recordings struct {
	// Dir gets the cases of pulls that failed; empty means that they are not recorded.
	Dir string
	// Keep is how many cases the folder holds; the oldest are deleted.
	Keep int
	// Bytes bounds the requests and answers of a case, as they come over the network.
	Bytes int64
	// Personal are names of fields and settings whose values are masked.
	Personal []string
}

func (r *configReader) recordings(s *Section) {
	r.Recordings = Recordings{
		Dir:   s.Path("folder", ""),
		Keep:  int(s.Int("keep", 20, 1, 100_000)),
		Bytes: s.Bytes("size", 16<<20, 64<<10, 1<<30),
	}
	for _, n := range s.list("personal") {
		name, ok := n.string()
		if !ok || name == "" {
			s.Errorf("personal", "want names of fields, such as [SenderAddress, Subject]")
			continue
		}
		r.Recordings.Personal = append(r.Recordings.Personal, name)
	}
	s.unknown(r.problems)
}
