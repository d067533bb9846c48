package builtins

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"go.starlark.net/starlark"

	"starling/engine"
)

// errorIDs are the names, by Devo's classes and numbers, of what can go wrong: by HTTP status, or by one
// of the words of its kind.
type errorIDs struct {
	statuses map[int]*engine.ErrorID
	words    map[string]*engine.ErrorID
}

// What goes wrong with a request, in the argument errors of http.client and of oauth.
const (
	onServer      = "5xx"         // any status from 500 on
	onOther       = "other"       // any other status
	onThrottle    = "throttled"   // the API asks to wait
	onUnreachable = "unreachable" // no answer, or one that broke off
	onAnswer      = "answer"      // an answer that makes no sense
)

// errorIDsOf reads a dict from statuses and words to names of ErrorIDs.
func errorIDsOf(d *starlark.Dict, words ...string) (errorIDs, error) {
	ids := errorIDs{statuses: map[int]*engine.ErrorID{}, words: map[string]*engine.ErrorID{}}
	if d == nil {
		return ids, nil
	}
	for _, item := range d.Items() {
		name, _ := starlark.AsString(item[1])
		id, err := engine.FindErrorID(name)
		if err != nil {
			return ids, fmt.Errorf("errors: %s: %w", engine.Show(item[0]), err)
		}
		word, isWord := starlark.AsString(item[0])
		status, notStatus := starlark.AsInt32(item[0])
		switch {
		case isWord && slices.Contains(words, word):
			ids.words[word] = &id
		case notStatus == nil && status >= 400 && status <= 599 && slices.Contains(words, onOther):
			ids.statuses[status] = &id
		default:
			return ids, fmt.Errorf("errors: got %s, want %s", engine.Show(item[0]), wanted(words))
		}
	}
	return ids, nil
}

func wanted(words []string) string {
	text := ""
	if slices.Contains(words, onOther) {
		text = "a status from 400 to 599"
	}
	for _, w := range words {
		if text != "" {
			text += " or "
		}
		text += fmt.Sprintf("%q", w)
	}
	return text
}

var requestErrors = []string{onServer, onOther, onThrottle, onUnreachable, onAnswer}

// name puts the ErrorID of a failure into its error. Trouble with the state directory is none of the API's.
func (ids errorIDs) name(f *failure) {
	if f == nil || f.err.ID != nil || f.err.Code == engine.CodeCanceled || f.err.Code == engine.CodeStore {
		return
	}
	f.err.ID = ids.of(f)
}

func (ids errorIDs) of(f *failure) *engine.ErrorID {
	if id, ok := ids.statuses[f.status]; ok {
		return id
	}
	switch {
	case f.throttle() || f.err.Code == engine.CodeThrottled && f.status == 0:
		return ids.words[onThrottle]
	case f.status >= http.StatusInternalServerError:
		return ids.words[onServer]
	case f.status >= http.StatusBadRequest:
		return ids.words[onOther]
	case f.status != 0:
		return ids.words[onAnswer]
	}
	return ids.words[onUnreachable]
}

// The kinds of mistakes about a setting, in the argument errors of config.
const (
	isMissing   = "missing"
	isWrongType = "type"
	isWrong     = "range" // any other mistake
)

// about returns text with the name of a mistake about a setting in front.
func (ids errorIDs) about(setting, kind, text string) string {
	if id := ids.words[kind]; id != nil {
		return id.About(setting).Reason(text)
	}
	return text
}

// devoFail ends a pull, or the load of a script, with an ErrorID.
func devoFail(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name, reason, hint string
	if err := unpack(b, args, kwargs, 2, "error", &name, "reason", &reason, "hint??", &hint); err != nil {
		return nil, err
	}
	id, err := engine.FindErrorID(name)
	if err != nil {
		return nil, fmt.Errorf("%s: error: %w", b.Name(), err)
	}
	if hint == "" {
		hint = id.Remedy
	}
	return nil, &engine.Error{Code: id.CodeOfClass(), ID: &id, Err: errors.New(reason), Hint: hint}
}
