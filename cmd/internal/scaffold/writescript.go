package scaffold

import (
	"fmt"
	"strings"
)

func (w *writer) script() string {
	var b strings.Builder
	summary := strings.TrimSpace(strings.Join(strings.Fields(w.Request.Summary), " "))
	if summary == "" {
		summary = "Events of " + w.Name
	}
	fmt.Fprintf(&b, "%s\n\n", docstring(strings.TrimRight(summary, ".")+"."))
	w.writeSettings(&b)
	w.writeClient(&b)
	w.writeTable(&b)
	w.writePull(&b)
	return b.String()
}

// docstring writes a text in three quotes.
func docstring(text string) string {
	inner := quote(text)
	return `""` + inner + `""`
}

func comment(b *strings.Builder, indent, text string) {
	fmt.Fprintf(b, "%s# %s\n", indent, strings.Join(strings.Fields(text), " "))
}

func (w *writer) writeSettings(b *strings.Builder) {
	for _, s := range w.settings {
		switch {
		case s.name == "base_url" && w.Request.Base != "":
			fmt.Fprintf(b, "%s = config.url(%s, default = %s, doc = %s)\n", s.variable, quote(s.name), quote(w.Request.Base), quote(s.doc))
		default:
			fmt.Fprintf(b, "%s = config.%s(%s, doc = %s)\n", s.variable, s.kind, quote(s.name), quote(s.doc))
		}
	}
	b.WriteString("\n")
}

func (w *writer) writeClient(b *strings.Builder) {
	a := w.Request.Auth
	b.WriteString("api = http.client(\n    base,\n")
	switch a.Kind {
	case "bearer":
		b.WriteString("    auth = http.bearer(token),\n")
	case "basic":
		b.WriteString("    auth = http.basic(username, password),\n")
	case "key":
		args := "api_key"
		if a.Header != "" {
			args += ", header = " + quote(a.Header)
		}
		if a.Prefix != "" {
			args += ", prefix = " + quote(a.Prefix)
		}
		fmt.Fprintf(b, "    auth = http.api_key(%s),\n", args)
	case "oauth":
		b.WriteString("    auth = oauth.client_credentials(\n")
		fmt.Fprintf(b, "        %s,\n        client_id = client_id,\n        client_secret = client_secret,\n", w.tokenURL())
		fmt.Fprintf(b, "        scope = %s,\n    ),\n", quote(a.Scope))
	case "set":
	default:
		comment(b, "    ", "TODO: how is the API signed in to? auth = http.bearer(…), http.basic(…), http.api_key(…), oauth.client_credentials(…) or http.signed(…).")
	}
	if len(w.Request.Headers) > 0 {
		b.WriteString("    headers = {")
		for i, h := range w.Request.Headers {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(b, "%s: %s", quote(h.Name), w.valueOf(h))
		}
		b.WriteString("},\n")
	}
	if len(w.hosts) > 0 {
		fmt.Fprintf(b, "    hosts = [%s],\n", quote(w.hosts[0]))
	}
	comment(b, "    ", "TODO: "+w.todo("how many requests does the API allow, and in which time?"))
	b.WriteString("    rate = http.rate(60, per = \"1m\"),\n)\n\n")
}

// tokenURL is where tokens come from, from the address of the API on if it is the same host.
func (w *writer) tokenURL() string {
	at := w.Request.Auth.TokenURL
	if rest, ok := strings.CutPrefix(at, w.Request.Base+"/"); ok && w.Request.Base != "" {
		return "base + " + quote("/"+rest)
	}
	return quote(at)
}

// maxFields is how many fields of a sample are written out.
const maxFields = 60

func (w *writer) writeTable(b *strings.Builder) {
	comment(b, "", "What an event looks like: a line for each field of the sample. Rename, convert and leave out here; rest passes on what else a row has.")
	b.WriteString("event = fields.map(\n    {\n")
	for i, f := range w.Sample.Fields {
		if i == maxFields {
			comment(b, "        ", fmt.Sprintf("%d more fields are passed on as they come.", len(w.Sample.Fields)-i))
			break
		}
		fmt.Fprintf(b, "        %s: field(%s),  # %s\n", quote(f.Name), quote(f.Name), strings.ReplaceAll(f.Kind, "_", " in "))
	}
	b.WriteString("    },\n    rest = fields.keep,\n    nulls = \"keep\",\n)\n\n")
	comment(b, "", "TODO: "+w.todo("which of Devo's tables is this for? my.app.… takes anything"))
	b.WriteString("events = devo.table(\n")
	fmt.Fprintf(b, "    %s,\n    event,\n", quote(w.Tag))
	switch {
	case w.time == nil:
		comment(b, "    ", "TODO: "+w.todo("when did an event happen? The sample has no field that looks like a time; the start of the pull counts now"))
	default:
		if timeName(w.time.Name) < 10 {
			comment(b, "    ", "TODO: "+w.todo("is %s when it happened? It is the only field that looks like it", w.time.Name))
		}
		fmt.Fprintf(b, "    time = field(%s).time(%s),\n", quote(w.time.Name), map[string]string{"time_seconds": `"epoch"`, "time_ms": `"epoch_ms"`}[w.time.Kind])
	}
	if w.key == nil {
		comment(b, "    ", "TODO: "+w.todo("which fields make a row the same row, so that it is sent once? Without key = […] what comes twice is sent twice"))
	} else {
		if keyName(w.key.Name) < 10 {
			comment(b, "    ", "TODO: "+w.todo("is %s what makes a row the same row?", w.key.Name))
		}
		fmt.Fprintf(b, "    key = [field(%s)],\n", quote(w.key.Name))
	}
	b.WriteString(")\n\n")
}

// next is the argument of pages.
func (w *writer) next() string {
	p := w.paging
	switch p.Kind {
	case "url":
		return quote(p.Key)
	case "cursor":
		return fmt.Sprintf("http.cursor(%s, %s)", quote(p.Key), quote(p.Param))
	case "offset":
		rows := ""
		if len(w.Sample.Rows) > 0 {
			rows = ", rows = " + quote(strings.Join(w.Sample.Rows, "."))
		}
		return fmt.Sprintf("http.offset(%s, %d%s)", quote(p.Param), max(p.Size, w.Sample.Count), rows)
	case "page":
		return "next_page"
	}
	return "http.link()"
}

func (w *writer) writePaging(b *strings.Builder, indent string) {
	p := w.paging
	switch {
	case p.Kind == "":
		comment(b, indent, "TODO: "+w.todo("how does the API page? Nothing shows it; http.link() follows a header Link, and without one the first page is all. Others: next = \"key.of.the.link\", http.cursor(…), http.offset(…), a function"))
	case p.Sure:
		comment(b, indent, strings.ToUpper(p.Why[:1])+p.Why[1:]+".")
	default:
		comment(b, indent, "TODO: "+w.todo("is this how the API pages? %s", p.Why))
	}
}

func (w *writer) writePull(b *strings.Builder) {
	b.WriteString("def pull():\n")
	switch {
	case w.ranged.start && w.ranged.end:
		comment(b, "    ", "TODO: "+w.todo("how late can rows appear (delay), and how far back does the API keep them (first, keeps)?"))
		b.WriteString("    for window in checkpoint.windows(\"1h\", delay = \"5m\", first = \"1d\"):\n")
		w.writePages(b, "        ", "window.start", "window.end")
		b.WriteString("        checkpoint.commit(window)\n")
	case w.ranged.start:
		comment(b, "    ", "TODO: "+w.todo("how late can rows appear? What is up to 5 minutes late is asked for again; does the API take an end of the range too? Then checkpoint.windows is better"))
		b.WriteString("    last = checkpoint.get(\"since\")\n")
		b.WriteString("    since = time.parse(last) if last else api.now() - time.duration(\"1d\")\n")
		b.WriteString("    until = api.now() - time.duration(\"5m\")\n")
		w.writePages(b, "    ", "since", "until")
		b.WriteString("\n")
		comment(b, "    ", "Answers have told the API's time, by which api.now() goes then: this machine's clock may be ahead of it.")
		b.WriteString("    until = min(until, api.now() - time.duration(\"5m\"))\n    checkpoint.set(\"since\", str(until))\n    checkpoint.commit()\n")
	default:
		comment(b, "    ", "TODO: "+w.todo("which parameters ask for a time range? Without them every pull reads everything, and only the key keeps out what was sent"))
		w.writePages(b, "    ", "", "")
		b.WriteString("    checkpoint.commit()\n")
	}
	if w.paging.Kind == "page" {
		fmt.Fprintf(b, "\ndef next_page(page):\n    \"\"\"The number of the page after this one, until one is empty.\"\"\"\n")
		fmt.Fprintf(b, "    number = int(url.query(page.url, first = True)[%s])\n", quote(w.paging.Param))
		fmt.Fprintf(b, "    return {%s: number + 1} if len(%s) > 0 else None\n", quote(w.paging.Param), w.rows)
	}
}

// writePages writes the loop over pages, with the names of the two ends of the range.
func (w *writer) writePages(b *strings.Builder, indent, start, end string) {
	ends := strings.NewReplacer("window.start", start, "window.end", end)
	arguments := w.path
	if len(w.query) > 0 {
		fmt.Fprintf(b, "%squery = {\n", indent)
		for _, pair := range w.query {
			fmt.Fprintf(b, "%s    %s,\n", indent, ends.Replace(pair))
		}
		fmt.Fprintf(b, "%s}\n", indent)
		arguments += ", params = query"
	}
	if w.body != "" {
		arguments += `, method = "POST", json = ` + ends.Replace(w.body)
	}
	if w.Request.Method == "POST" && w.body == "" {
		if len(w.Request.Form) > 0 {
			comment(b, indent, "TODO: "+w.todo("does the API page? What a form asks for is read as one page"))
			fmt.Fprintf(b, "%spage = api.post(%s, form = {%s})\n%sdevo.send(events, %s)\n", indent, arguments, w.form(), indent, w.rows)
			return
		}
		arguments += `, method = "POST"`
	}
	w.writePaging(b, indent)
	fmt.Fprintf(b, "%sfor page in api.pages(%s, next = %s):\n%s    devo.send(events, %s)\n", indent, arguments, w.next(), indent, w.rows)
}

func (w *writer) form() string {
	var pairs []string
	for _, p := range w.Request.Form {
		pairs = append(pairs, quote(p.Name)+": "+w.valueOf(p))
	}
	return strings.Join(pairs, ", ")
}
