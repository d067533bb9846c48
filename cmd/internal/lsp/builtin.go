package lsp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"starling/builtins"
	"starling/cmd/internal/source"
)

// own reports whether a file is a copy of what is inside of the program.
func (s *server) own(file string) bool {
	return s.cache != "" && strings.HasPrefix(file, s.cache+string(filepath.Separator))
}

// unpacked returns a file, read-only, with a text that is inside of the program; "" if there is no place for one. Below its folder it
// has its name, and the folder is that of the text, so that another version of the program has another file.
func (s *server) unpacked(name string, text []byte) string {
	if s.cache == "" || !fs.ValidPath(name) {
		return ""
	}
	sum := sha256.Sum256(text)
	file := filepath.Join(s.cache, hex.EncodeToString(sum[:6]), filepath.FromSlash(name))
	if there, err := os.ReadFile(file); err == nil && bytes.Equal(there, text) {
		return file
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return ""
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new")
	if err != nil {
		return ""
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if closed := f.Close(); err != nil || closed != nil || os.Chmod(f.Name(), 0o444) != nil {
		return ""
	}
	if os.Rename(f.Name(), file) != nil {
		return ""
	}
	return file
}

// ofScript returns the copy of a built-in script.
func (s *server) ofScript(name string) string {
	text, err := fs.ReadFile(s.builtin, path.Clean(name))
	if err != nil {
		return ""
	}
	return s.unpacked(path.Clean(name), text)
}

// ofBuiltin returns where the stub of a builtin describes what a name stands for: a module, a member, or the function that has an
// argument of that name.
func (s *server) ofBuiltin(f *source.File, id *syntax.Ident) any {
	switch in := f.Parents[id].(type) {
	case *syntax.DotExpr:
		if in.Name == id {
			return s.inStub(f.StubOf(f.Kind(in.X)), id.Name)
		}
	case *syntax.BinaryExpr:
		call, ok := f.Parents[in].(*syntax.CallExpr)
		if !ok || in.Op != syntax.EQ || in.X != syntax.Expr(id) {
			break
		}
		switch fn := source.Inner(call.Fn).(type) {
		case *syntax.DotExpr:
			return s.ofBuiltin(f, fn.Name)
		case *syntax.Ident:
			return s.ofBuiltin(f, fn)
		}
		return nil
	}
	if source.Variable(id) != nil || source.Scope(id) != resolve.Predeclared {
		return nil
	}
	if place := s.inStub(f.Stub("names"), id.Name); place != nil {
		return place
	}
	return s.inStub(f.Stub(id.Name), "")
}

// inStub returns the place of a member in a stub, or its start without a name.
func (s *server) inStub(stub *builtins.Stub, name string) any {
	m := source.Member(stub, name)
	if stub == nil || m == nil && name != "" {
		return nil
	}
	file := s.unpacked(stub.File, stub.Text)
	if file == "" {
		return nil
	}
	there := Location{URI: uriOf(file)}
	if m != nil {
		there.Range = Range{toPosition(stub.Text, int(m.At.Line), int(m.At.Col)), toPosition(stub.Text, int(m.At.Line), int(m.At.Col)+len(m.Name))}
	}
	return there
}
