package scaffold

import "strings"

// takeAuth takes the first way to sign in that a script can use.
func (doc *document) takeAuth(d *Draft, op map[string]any) {
	security, ok := op["security"].([]any)
	if !ok {
		security = listIn(doc.root, "security")
	}
	schemes := doc.object(doc.object(doc.root["components"])["securitySchemes"])
	if schemes == nil {
		schemes = doc.object(doc.root["securityDefinitions"])
	}
	var odd []string
	for _, v := range security {
		for _, name := range sortedKeys(doc.object(v)) {
			scheme := doc.object(schemes[name])
			if auth, ok := doc.authOf(d, scheme, listIn(doc.object(v), name)); ok {
				d.Request.Auth = auth
				return
			}
			odd = append(odd, first(textIn(scheme, "type"), name))
		}
	}
	if len(odd) > 0 {
		d.todo("the document signs in by %s, which is not known here: which other way is there?", strings.Join(odd, ", "))
	}
}

func (doc *document) authOf(d *Draft, scheme map[string]any, scopes []any) (Auth, bool) {
	switch textIn(scheme, "type") {
	case "basic":
		return Auth{Kind: "basic"}, true
	case "http":
		switch strings.ToLower(textIn(scheme, "scheme")) {
		case "bearer":
			return Auth{Kind: "bearer"}, true
		case "basic":
			return Auth{Kind: "basic"}, true
		}
	case "apiKey":
		name := textIn(scheme, "name")
		switch textIn(scheme, "in") {
		case "header":
			return Auth{Kind: "key", Header: name}, true
		case "cookie":
			d.Request.Headers = append(d.Request.Headers, Param{Name: "Cookie", Setting: "cookie", Secret: true})
			return Auth{Kind: "set"}, true
		default:
			d.Request.Params = append(d.Request.Params, Param{Name: name, Setting: identifier(name), Secret: true})
			return Auth{Kind: "set"}, true
		}
	case "oauth2":
		flow := doc.object(doc.object(scheme["flows"])["clientCredentials"])
		if flow == nil && textIn(scheme, "flow") == "application" {
			flow = scheme
		}
		if flow == nil {
			return Auth{}, false
		}
		var wanted []string
		for _, scope := range scopes {
			wanted = append(wanted, textOf(scope))
		}
		address := textIn(flow, "tokenUrl")
		if strings.HasPrefix(address, "/") && d.Request.Base != "" {
			scheme, rest, _ := strings.Cut(d.Request.Base, "://")
			host, _, _ := strings.Cut(rest, "/")
			address = scheme + "://" + host + address
		}
		if !strings.HasPrefix(address, "https://") {
			d.todo("where do tokens come from? The document has no https address for them")
			address = "https://login.example.com/token"
		}
		if len(wanted) == 0 {
			d.todo("which scope do tokens need? The document names none")
			wanted = []string{"TODO"}
		}
		return Auth{Kind: "oauth", TokenURL: address, Scope: strings.Join(wanted, " ")}, true
	}
	return Auth{}, false
}
