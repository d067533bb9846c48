package engine

import "sync"

// Shared keeps what outlives pulls, scripts and reloads and is common to all collectors of a
// process: tokens, rate limits, connections. The zero Shared is ready to use.
type Shared struct {
	memory memoryWatch

	mu     sync.Mutex
	values map[string]any
}

// Get returns the value under key, which make creates when it is not there yet. Prefix the key with
// the name of the builtin that owns it; keep secrets out of it, or hash them.
func (s *Shared) Get(key string, create func() any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[key]; ok {
		return v
	}
	if s.values == nil {
		s.values = map[string]any{}
	}
	v := create()
	s.values[key] = v
	return v
}
