package problem

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"starling/engine"
)

// ended is an error that says a code for what is below it, as a command's failure does.
type ended struct{ err error }

func (e ended) Error() string     { return e.err.Error() }
func (e ended) Unwrap() error     { return e.err }
func (e ended) Code() engine.Code { return "wrong" }

func TestOf(t *testing.T) {
	t.Parallel()
	script := &engine.ScriptError{Pos: "a.star:2:5", Msg: "undefined: x", Text: "a.star:2:5: undefined: x\n    y = x\n        ^"}
	inScript := Problem{"a.star", 2, 5, engine.CodeScript, "undefined: x", "", script.Text}
	for _, trial := range []struct {
		name string
		err  error
		want []Problem
	}{
		{"nothing", nil, nil},
		{"a text", errors.New("no place"), []Problem{{Code: "other", Message: "no place", Text: "no place"}}},
		{"a place", errors.New("C:/x/config.yaml:3:7: wrong, did you mean \"listen\"?"),
			[]Problem{{"C:/x/config.yaml", 3, 7, "other", "wrong, did you mean \"listen\"?", "did you mean \"listen\"?", "C:/x/config.yaml:3:7: wrong, did you mean \"listen\"?"}}},
		{"several with the code of all", &engine.Error{Code: engine.CodeConfig, Err: errors.Join(errors.New("a:1:2: one"), errors.New("two"))},
			[]Problem{{"a", 1, 2, engine.CodeConfig, "one", "", "a:1:2: one"}, {Code: engine.CodeConfig, Message: "two", Text: "two"}}},
		{"a hint", &engine.Error{Code: engine.CodeStore, Op: "open x", Err: errors.New("in use"), Hint: "stop it"},
			[]Problem{{Code: engine.CodeStore, Message: "open x: in use", Fix: "stop it", Text: "open x: in use (stop it)"}}},
		{"a hint below", fmt.Errorf("pull: %w", &engine.Error{Code: engine.CodeAuth, Err: &engine.Error{Code: engine.CodeAuth, Err: errors.New("401"), Hint: "sign in"}}),
			[]Problem{{Code: engine.CodeAuth, Message: "pull: 401", Fix: "sign in", Text: "pull: 401 (sign in)"}}},
		{"a script", script, []Problem{inScript}},
		{"a script in another error", fmt.Errorf("load: %w", script), []Problem{{"a.star", 2, 5, engine.CodeScript, "undefined: x", "", "load: a.star:2:5: undefined: x"}}},
		{"a failure of two", ended{errors.Join(errors.New("one"), script)}, []Problem{{Code: "wrong", Message: "one", Text: "one"}, inScript}},
		{"a sentence about two", fmt.Errorf("%w; it was at: %w", errors.New("too late"), script),
			[]Problem{{"a.star", 2, 5, engine.CodeScript, "undefined: x", "", "too late; it was at: a.star:2:5: undefined: x"}}},
		{"a usage", errors.New("starling check: unknown flag: --x\nsee: starling check --help"),
			[]Problem{{Code: "other", Message: "starling check: unknown flag: --x", Fix: "see: starling check --help", Text: "starling check: unknown flag: --x\nsee: starling check --help"}}},
		{"not a place", errors.New("http://a:80: x"), []Problem{{Code: "other", Message: "http://a:80: x", Text: "http://a:80: x"}}},
	} {
		if got := Of(trial.err, "other"); !reflect.DeepEqual(got, trial.want) {
			t.Errorf("%s: got\n%+v, want\n%+v", trial.name, got, trial.want)
		}
	}
}
