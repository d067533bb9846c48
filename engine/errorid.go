package engine

import (
	"fmt"
	"slices"
	"strings"
)

// An ErrorID is a failure under the name that it has with Devo's collectors, which runbooks and alerts
// know: a class and a number. Scripts say which of their failures is which.
type ErrorID struct {
	Class   string
	Number  int
	Message string // the original's
	Cause   string // what it means here
	Remedy  string
}

// Name is how scripts name it, such as "SetupError 100".
func (id ErrorID) Name() string { return fmt.Sprintf("%s %d", id.Class, id.Number) }

// String is how it is printed, in the original's form, such as "SetupError [CODE:0100]".
func (id ErrorID) String() string { return fmt.Sprintf("%s [CODE:%04d]", id.Class, id.Number) }

// Classes of ErrorIDs.
const (
	configuration = "CollectorConfigurationException"
	initVariables = "InitVariablesError"
	setup         = "SetupError"
	pullFailed    = "PullError"
	apiFailed     = "ApiError"
)

// About returns the ErrorID of the same name whose message speaks of a setting, where several share a number.
func (id ErrorID) About(setting string) ErrorID {
	setting = strings.TrimPrefix(setting, "override_")
	for _, other := range ErrorIDs() {
		if other.Name() == id.Name() && strings.Contains(other.Message, setting) {
			return other
		}
	}
	return id
}

// Reason is the original's message with a text that says what happened.
func (id ErrorID) Reason(text string) string {
	switch {
	case id.Class == configuration:
		cause := slices.DeleteFunc([]string{id.Message, text}, func(s string) bool { return s == "" })
		return fmt.Sprintf(`%s Error in configuration, cause: "%s"`, id, strings.Join(cause, ": "))
	case id.Message == "":
		return id.String() + " reason: " + text
	case strings.Contains(id.Message, "[...]"):
		return id.String() + " reason: " + strings.Replace(id.Message, "[...]", "["+text+"]", 1)
	}
	return id.String() + " reason: " + id.Message + ": " + text
}

// CodeOfClass is what the engine does about an error of a class, unless something better is known.
func (id ErrorID) CodeOfClass() Code {
	switch id.Class {
	case configuration, initVariables:
		return CodeConfig
	case setup:
		return CodeAuth
	}
	return CodeUpstream
}

// configurationID returns the name of a mistake in the configuration, whose message speaks of a text where
// several share a number.
func configurationID(number int, about string) *ErrorID {
	id := ErrorID{Class: configuration, Number: number}.About(about)
	return &id
}

// OwnErrorIDs are numbers of a class that Devo leaves to collectors, and that scripts of one's own may use.
func OwnErrorIDs(class string) (from, to int) {
	switch class {
	case pullFailed:
		return 307, 399
	case apiFailed:
		return 400, 499
	}
	return 500, 799
}

// FindErrorID returns the ErrorID of a name. One of a number that is free for scripts need not be in the table.
func FindErrorID(name string) (ErrorID, error) {
	all := ErrorIDs()
	if i := slices.IndexFunc(all, func(id ErrorID) bool { return id.Name() == name }); i >= 0 {
		return all[i], nil
	}
	var id ErrorID
	if n, err := fmt.Sscanf(name, "%s %d", &id.Class, &id.Number); err != nil || n != 2 || id.Name() != name {
		return id, fmt.Errorf("got %q, want a class and a number, such as %q", cut(name, 60), "PullError 305")
	}
	from, to := OwnErrorIDs(id.Class)
	known := slices.Contains([]string{pullFailed, apiFailed, "CustomError"}, id.Class)
	if !known || id.Number < from || id.Number > to {
		return id, fmt.Errorf("there is no %q: take one of docs/errors.md, or PullError 307 to 399, ApiError 400 to 499 or CustomError 500 to 799", cut(name, 60))
	}
	return id, nil
}
