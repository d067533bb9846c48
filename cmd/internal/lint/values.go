package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"starling/cmd/internal/source"
)

func valueLints() []Lint {
	return []Lint{
		{"row-loop", "Rows are sent one by one, each made into a dict by the script, which is many times slower than a mapping. Send the whole list, devo.send(table, page[\"items\"]), and say with fields.map in devo.table what an event looks like.", rowLoop},
		{"secret-in-url", "A secret becomes a part of a URL, which servers and proxies on the way write into their logs. Send it in a header: auth = http.bearer(secret) or http.api_key(secret).", secretInURL},
		{"secret-in-log", "A secret is logged, or put into an error; it would show as ****SANITIZED**** there. Take it out.", secretInLog},
		{"secret-in-text", "A secret is made a part of a text, where it becomes ****SANITIZED****, and what gets the text does not work. Hand the secret itself to a builtin that takes one, such as http.bearer.", secretInText},
		{"secret-as-text", "A setting whose name says that it is a secret is declared as a text, so that it can show in logs and errors. Declare it with config.secret.", secretAsText},
		{"float-id", "An id becomes a float, which is not exact beyond 2^53, so that two ids can become one. Keep it as it came, or use int.", floatID},
		{"int-of-missing", "int or float gets what may be None, where it fails. Give get a default, or ask whether it is None.", intOfMissing},
		{"mutable-default", "A function changes the list or dict that is the default of its parameter; defaults are frozen when the script is loaded, so that it fails. Use None as the default, and make a new one in the function.", mutableDefault},
		{"time-as-text", "Times are compared as texts, which is wrong as soon as one has another zone or other fraction digits. Compare times: time.parse(text).", timeAsText},
	}
}

// rowLoop finds for row in page["items"]: devo.send(table, …).
func rowLoop(l *linter) {
	each(l.Tree, func(loop *syntax.ForStmt) {
		if !l.fromAnswer(loop.X, 8) {
			return
		}
		each(loop, func(call *syntax.CallExpr) {
			if l.called(call) != "devo.send" {
				return
			}
			if records := argument(call, 1, "records"); records != nil && l.Kind(records) != "list" && !l.fromAnswer(records, 8) || l.isVar(records, loop.Vars) {
				l.tell(call, "each row is sent by itself", "send the list of rows, and say what an event looks like with fields.map in devo.table")
			}
		})
	})
}

func (l *linter) isVar(e, target syntax.Expr) bool {
	a, ok := e.(*syntax.Ident)
	b, also := target.(*syntax.Ident)
	return ok && also && source.Variable(a) == source.Variable(b)
}

// fromAnswer reports whether an expression is a part of an answer: page["items"], page.json().get("value").
func (l *linter) fromAnswer(e syntax.Expr, depth int) bool {
	if depth == 0 {
		return false
	}
	switch e := source.Inner(e).(type) {
	case *syntax.Ident:
		if l.Kind(e) == "response" {
			return false // the answer itself, not a part of it
		}
		defs := l.Defs[source.Variable(e)]
		if len(defs) != 1 {
			return false
		}
		_, assigned := defs[0].By.(*syntax.AssignStmt)
		return assigned && l.fromAnswer(defs[0].Value, depth-1)
	case *syntax.IndexExpr:
		return l.Kind(e.X) == "response" || l.fromAnswer(e.X, depth-1)
	case *syntax.CallExpr:
		dot, ok := e.Fn.(*syntax.DotExpr)
		return ok && (l.called(e) == "response.json" || dot.Name.Name != "find" && l.fromAnswer(dot.X, depth-1))
	case *syntax.BinaryExpr: // page.json().get("value") or []
		return e.Op == syntax.OR && l.fromAnswer(e.X, depth-1)
	}
	return false
}

// secrets calls f for every use of a secret.
func (l *linter) secrets(f func(use *syntax.Ident)) {
	each(l.Tree, func(id *syntax.Ident) {
		if _, def := l.Parents[id].(*syntax.AssignStmt); source.Variable(id) != nil && l.Kind(id) == "secret" && (!def || l.Parents[id].(*syntax.AssignStmt).LHS != syntax.Expr(id)) {
			f(id)
		}
	})
}

// around returns the builtin call that a node is an argument of, however deep, and the name of that argument or its place.
func (l *linter) around(n syntax.Node) (name, arg string, call *syntax.CallExpr) {
	below := n
	for n = l.Parents[n]; n != nil; below, n = n, l.Parents[n] {
		switch p := n.(type) {
		case *syntax.CallExpr:
			if syntax.Node(p.Fn) == below {
				continue
			}
			if name := l.called(p); name != "" {
				return name, argumentName(p, below), p
			}
			if id, ok := p.Fn.(*syntax.Ident); ok && source.Variable(id) == nil {
				return id.Name, argumentName(p, below), p
			}
			if dot, ok := p.Fn.(*syntax.DotExpr); !ok || dot.Name.Name != "format" {
				return "", "", nil
			}
		case syntax.Stmt:
			return "", "", nil
		}
	}
	return "", "", nil
}

func argumentName(call *syntax.CallExpr, arg syntax.Node) string {
	for i, a := range call.Args {
		if syntax.Node(a) == arg {
			if key, _ := keyword(a); key != nil {
				return key.Name
			}
			return fmt.Sprint(i)
		}
	}
	return ""
}

func secretInURL(l *linter) {
	l.secrets(func(use *syntax.Ident) {
		name, arg, call := l.around(use)
		switch {
		case (name == "client.get" || name == "client.pages") && arg == "params" && (name == "client.get" || text(argument(call, -1, "method")) != "POST"),
			(name == "client.get" || name == "client.post" || name == "client.pages") && (arg == "0" || arg == "path"),
			name == "http.client" && (arg == "0" || arg == "base"),
			strings.HasPrefix(name, "url."):
			l.tell(use, fmt.Sprintf("the secret %s becomes a part of a URL", use.Name), "send it in a header: auth = http.bearer(…) or http.api_key(…)")
		}
	})
}

func secretInLog(l *linter) {
	l.secrets(func(use *syntax.Ident) {
		name, _, _ := l.around(use)
		if strings.HasPrefix(name, "log.") || slices.Contains([]string{"print", "fail", "devo.fail", "config.refuse"}, name) {
			l.tell(use, fmt.Sprintf("the secret %s is logged", use.Name), "take it out")
		}
	})
}

func secretInText(l *linter) {
	l.secrets(func(use *syntax.Ident) {
		if name, arg, _ := l.around(use); strings.HasPrefix(name, "log.") || strings.HasPrefix(name, "client.") && (arg == "0" || arg == "path") || name == "fail" || name == "print" || name == "devo.fail" {
			return // told already
		}
		var parent syntax.Node = use
		for {
			parent = l.Parents[parent]
			if _, ok := parent.(*syntax.TupleExpr); !ok {
				if _, ok := parent.(*syntax.ParenExpr); !ok {
					break
				}
			}
		}
		made := false
		switch p := parent.(type) {
		case *syntax.BinaryExpr:
			made = (p.Op == syntax.PLUS || p.Op == syntax.PERCENT) && (l.Kind(p.X) == "string" || l.Kind(p.Y) == "string")
		case *syntax.CallExpr:
			dot, ok := p.Fn.(*syntax.DotExpr)
			id, plain := p.Fn.(*syntax.Ident)
			made = ok && dot.Name.Name == "format" && l.Kind(dot.X) == "string" || plain && id.Name == "str" && source.Variable(id) == nil
		}
		if made {
			l.tell(use, fmt.Sprintf("the secret %s becomes ****SANITIZED**** in this text", use.Name), "hand the secret itself to a builtin that takes one, such as http.bearer")
		}
	})
}

// secretName is how settings are called that hold secrets.
var secretName = regexp.MustCompile(`(?i)(^|_)(password|passwd|passphrase|secret|api_?key|secret_?key|private_?key|access_?token|api_?token|auth_?token)$`)

func secretAsText(l *linter) {
	each(l.Tree, func(call *syntax.CallExpr) {
		if l.called(call) == "config.string" && secretName.MatchString(text(argument(call, 0, "name"))) {
			l.tell(call.Fn, fmt.Sprintf("the setting %s is declared as a text that may show", text(argument(call, 0, "name"))), "declare it with config.secret")
		}
	})
}

// idName is how fields are called that hold ids.
var idName = regexp.MustCompile(`^id$|_id$|[a-z]Id$|[a-z]ID$|^ID$`)

// lastName returns the name of the field that an expression reads: of row["id"], row.get("id"), row.id and id.
func lastName(e syntax.Expr) string {
	switch e := source.Inner(e).(type) {
	case *syntax.IndexExpr:
		return text(e.Y)
	case *syntax.DotExpr:
		return e.Name.Name
	case *syntax.Ident:
		return e.Name
	case *syntax.CallExpr:
		if dot, ok := e.Fn.(*syntax.DotExpr); ok && dot.Name.Name == "get" && len(e.Args) > 0 {
			return text(e.Args[0])
		}
		if id, ok := e.Fn.(*syntax.Ident); ok && (id.Name == "field" || id.Name == "int") && len(e.Args) == 1 {
			return text(e.Args[0]) + lastName(e.Args[0])
		}
	}
	return ""
}

func floatID(l *linter) {
	const fix = "keep it as it came, or use int"
	each(l.Tree, func(n syntax.Expr) {
		switch n := n.(type) {
		case *syntax.CallExpr:
			switch fn := n.Fn.(type) {
			case *syntax.Ident:
				if fn.Name == "float" && source.Variable(fn) == nil && len(n.Args) == 1 && idName.MatchString(lastName(n.Args[0])) {
					l.tell(n, "an id becomes a float, which is not exact", fix)
				}
			case *syntax.DotExpr:
				if fn.Name.Name == "float" && l.Kind(fn.X) == "expression" && idName.MatchString(lastName(fn.X)) {
					l.tell(fn.Name, "an id becomes a float, which is not exact", "use .int(), or leave it as it is")
				}
			}
		case *syntax.BinaryExpr:
			id := idName.MatchString(lastName(n.X)) || idName.MatchString(lastName(n.Y))
			floats := n.Op == syntax.SLASH || (n.Op == syntax.PLUS || n.Op == syntax.MINUS || n.Op == syntax.STAR) && (l.Kind(n.X) == "float" || l.Kind(n.Y) == "float")
			if id && floats {
				l.tell(n, "this makes a float of an id, which is not exact", fix)
			}
		}
	})
}

func intOfMissing(l *linter) {
	each(l.Tree, func(call *syntax.CallExpr) {
		id, ok := call.Fn.(*syntax.Ident)
		if !ok || source.Variable(id) != nil || id.Name != "int" && id.Name != "float" || len(call.Args) == 0 {
			return
		}
		inner, ok := source.Inner(call.Args[0]).(*syntax.CallExpr)
		if !ok {
			return
		}
		name := l.called(inner)
		dot, method := inner.Fn.(*syntax.DotExpr)
		get := method && dot.Name.Name == "get" && len(inner.Args) == 1 && name != "client.get" && name != "checkpoint.get"
		if get || name == "re.find" || name == "pattern.find" {
			l.tell(call, fmt.Sprintf("%s fails if there is no such value: it gets None then", id.Name), "give get a default, or ask whether it is None")
		}
	})
}

// changing are methods that change a list, a dict or a set.
var changing = []string{"append", "extend", "insert", "pop", "popitem", "remove", "clear", "update", "setdefault", "add", "discard"}

func mutableDefault(l *linter) {
	each(l.Tree, func(def *syntax.DefStmt) {
		for _, p := range def.Params {
			param, ok := p.(*syntax.BinaryExpr)
			if !ok || !l.mutable(param.Y) {
				continue
			}
			name := param.X.(*syntax.Ident)
			for _, use := range l.Uses[source.Variable(name)] {
				if l.changes(use) {
					l.tell(param, fmt.Sprintf("%s changes the default of %s, which is frozen", def.Name.Name, name.Name), fmt.Sprintf("write %s = None, and make a new one in the function", name.Name))
					break
				}
			}
		}
	})
}

func (l *linter) mutable(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.ListExpr, *syntax.DictExpr, *syntax.Comprehension:
		return true
	case *syntax.CallExpr:
		id, ok := e.Fn.(*syntax.Ident)
		return ok && source.Variable(id) == nil && slices.Contains([]string{"list", "dict", "set"}, id.Name)
	}
	return false
}

// changes reports whether a use of a variable changes what it holds.
func (l *linter) changes(use *syntax.Ident) bool {
	switch p := l.Parents[use].(type) {
	case *syntax.DotExpr:
		call, ok := l.Parents[p].(*syntax.CallExpr)
		return ok && call.Fn == syntax.Expr(p) && slices.Contains(changing, p.Name.Name)
	case *syntax.IndexExpr:
		assign, ok := l.Parents[p].(*syntax.AssignStmt)
		return ok && p.X == syntax.Expr(use) && assign.LHS == syntax.Expr(p)
	case *syntax.AssignStmt:
		return p.Op == syntax.PLUS_EQ && p.LHS == syntax.Expr(use)
	}
	return false
}

var (
	timeText = regexp.MustCompile(`^\d{4}-\d\d-\d\d([T ]|$)`)
	timeName = regexp.MustCompile(`([a-z]At|_at|[a-z]Time|_time|[tT]imestamp|[a-z]Date|_date|DateTime|^[Rr]eceived|^created|^updated|^modified)$`)
)

func timeAsText(l *linter) {
	each(l.Tree, func(e *syntax.BinaryExpr) {
		switch e.Op {
		case syntax.LT, syntax.GT, syntax.LE, syntax.GE:
			x, y := l.timeAs(e.X), l.timeAs(e.Y)
			if x == "text" || y == "text" || x == "field" && y == "field" || x == "field" && y == "time" || x == "time" && y == "field" {
				l.tell(e, "times are compared as texts", "compare times: time.parse(text)")
			}
		}
	})
}

// timeAs says how an expression holds a time: as a "text" for certain, as a "time", in a "field" of a record whose name says so, or "".
func (l *linter) timeAs(e syntax.Expr) string {
	e = source.Inner(e)
	if l.Kind(e) == "time" {
		return "time"
	}
	switch e := e.(type) {
	case *syntax.Literal:
		if timeText.MatchString(text(e)) {
			return "text"
		}
	case *syntax.CallExpr:
		switch fn := e.Fn.(type) {
		case *syntax.Ident:
			if fn.Name == "str" && len(e.Args) == 1 && l.Kind(e.Args[0]) == "time" {
				return "text"
			}
		case *syntax.DotExpr:
			if l.called(e) == "time.format" {
				return "text"
			}
			if fn.Name.Name == "get" && timeName.MatchString(lastName(e)) {
				return "field"
			}
		}
	case *syntax.IndexExpr:
		if timeName.MatchString(text(e.Y)) {
			return "field"
		}
	}
	return ""
}
