package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A fence is a fenced block of a page. What its fence says behind the language is what is done with it:
//
//	file=PATH    it is written there
//	in=PATH      the file has these lines
//	console      lines with $ are run by sh, what follows each is all that it prints, with ... for what differs;
//	             fails: the last command does not end well; background: it goes on until the page ends;
//	             until: it is tried again until it prints that
//
// A comment before it, <!-- not run: WHY -->, has it left alone.
type fence struct {
	line     int
	language string
	words    []string
	text     string
	notRun   string
}

func (b *fence) is(word string) bool {
	for _, w := range b.words {
		if w == word {
			return true
		}
	}
	return false
}

func (b *fence) value(key string) string {
	for _, w := range b.words {
		if value, ok := strings.CutPrefix(w, key+"="); ok {
			return value
		}
	}
	return ""
}

var notRunComment = regexp.MustCompile(`^<!-- not run: (.+) -->$`)

// blocksOf reads a page. Code that is not fenced has no place for a mark, and is an error.
func blocksOf(page string) ([]fence, error) {
	var blocks []fence
	var open *fence
	notRun, above := "", ""
	for i, line := range strings.Split(page, "\n") {
		info, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && line == "```":
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
		case isFence:
			words := strings.Fields(info)
			open = &fence{line: i + 1, notRun: notRun}
			if len(words) > 0 {
				open.language, open.words = words[0], words[1:]
			}
			notRun = ""
		case strings.HasPrefix(line, "    ") && above == "":
			return nil, fmt.Errorf("line %d: code that is not fenced", i+1)
		case strings.TrimSpace(line) != "":
			notRun = ""
			if m := notRunComment.FindStringSubmatch(line); m != nil {
				notRun = m[1]
			}
		}
		above = line
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: a block without an end", open.line)
	}
	return blocks, nil
}

// A command is a line with $ and what it prints.
type command struct{ line, prints string }

func commandsOf(text string) ([]command, error) {
	var commands []command
	goesOn := false
	for line := range strings.Lines(text) {
		rest, begins := strings.CutPrefix(line, "$ ")
		switch {
		case begins:
			commands = append(commands, command{line: rest})
		case len(commands) == 0:
			return nil, fmt.Errorf("%q stands before the first line with $", line)
		case goesOn:
			commands[len(commands)-1].line += line
		default:
			commands[len(commands)-1].prints += line
		}
		goesOn = (begins || goesOn) && strings.HasSuffix(line, "\\\n")
	}
	return commands, nil
}

// pattern is what an output must be like: a line with ... alone is any number of lines, ... in a line anything in that line.
func pattern(prints string) *regexp.Regexp {
	var p strings.Builder
	for line := range strings.Lines(prints) {
		if strings.TrimSpace(line) == "..." {
			p.WriteString(`(?:.*\n)*?`)
			continue
		}
		p.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " \n")), `\.\.\.`, `.*`) + ` *\n`)
	}
	return regexp.MustCompile(`\A` + p.String() + `\z`)
}
