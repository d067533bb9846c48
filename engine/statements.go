package engine

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Statements counts how often each statement of scripts ran, for Library.Statements. A statement that
// holds others, such as an if, is its first lines only, up to the colon.
type Statements struct {
	// Each is told of each statement before it runs, in its goroutine; nil tells nobody.
	Each func(*Statement)

	mu    sync.Mutex
	all   []*Statement
	known map[string]int // by place
	last  atomic.Pointer[Statement]
}

// A Statement of a script.
type Statement struct {
	File      string // as errors call it
	Line, Col int
	EndLine   int
	runs      atomic.Int64
}

// Runs is how often it was begun.
func (s *Statement) Runs() int64 { return s.runs.Load() }

// All lists the statements of all files that were compiled, by file and place.
func (s *Statements) All() []*Statement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(slices.Values(s.all), func(a, b *Statement) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}

// Last is the statement that was begun last, or nil.
func (s *Statements) Last() *Statement { return s.last.Load() }

// place returns the number of the statement that begins at start: the same one whenever it is compiled.
func (s *Statements) place(start, end syntax.Position) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := start.String()
	n, ok := s.known[key]
	if !ok {
		if s.known == nil {
			s.known = map[string]int{}
		}
		n = len(s.all)
		s.known[key] = n
		s.all = append(s.all, &Statement{File: start.Filename(), Line: int(start.Line), Col: int(start.Col), EndLine: int(end.Line)})
	}
	return n
}

// mark is the guard that a marked script reads before each statement.
func (s *Statements) mark(n starlark.Value) (starlark.Value, error) {
	i, err := starlark.AsInt32(n)
	if err != nil {
		return nil, fmt.Errorf("mark: %w", err)
	}
	back := i < 0
	if back {
		i = -1 - i
	}
	s.mu.Lock()
	one := s.all[i]
	s.mu.Unlock()
	s.last.Store(one)
	if back {
		return starlark.None, nil
	}
	one.runs.Add(1)
	if s.Each != nil {
		s.Each(one)
	}
	return starlark.None, nil
}

// marked returns a block with a mark before each statement; docstrings have none.
func (s *Statements) marked(block []syntax.Stmt) []syntax.Stmt {
	with := make([]syntax.Stmt, 0, 2*len(block))
	for _, stmt := range block {
		if e, ok := stmt.(*syntax.ExprStmt); !ok || !isLiteral(e.X) {
			start, end := extent(stmt)
			with = append(with, markStmt(start, s.place(start, end)))
		}
		with = append(with, stmt)
	}
	return with
}

// back is a mark for the end of a loop's body: what happens until the next round is the loop's doing.
func (s *Statements) back(loop *syntax.ForStmt) syntax.Stmt {
	start, end := extent(loop)
	return markStmt(start, -1-s.place(start, end))
}

func markStmt(at syntax.Position, n int) syntax.Stmt {
	return &syntax.ExprStmt{X: &syntax.IndexExpr{X: &syntax.Ident{NamePos: at, Name: guardMark}, Lbrack: at,
		Y: &syntax.Literal{Token: syntax.INT, TokenPos: at, Value: int64(n)}, Rbrack: at}}
}

// extent is where a statement begins and ends, without the blocks in it.
func extent(stmt syntax.Stmt) (start, end syntax.Position) {
	start, end = stmt.Span()
	switch stmt := stmt.(type) {
	case *syntax.DefStmt:
		_, end = stmt.Name.Span()
		if n := len(stmt.Params); n > 0 {
			_, end = stmt.Params[n-1].Span()
		}
	case *syntax.ForStmt:
		_, end = stmt.X.Span()
	case *syntax.IfStmt:
		_, end = stmt.Cond.Span()
	}
	return start, end
}
