package docs

import (
	"fmt"
	"html"
	"regexp"
	"strings"
)

// page is all around the entries. It needs nothing from elsewhere.
const page = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Starling: what scripts can use</title><style>
body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#222;background:#fff}
nav{position:fixed;top:0;bottom:0;width:17rem;overflow:auto;padding:1rem;box-sizing:border-box;background:#f5f5f5;font-size:14px}
nav a{display:block;color:#0645ad;text-decoration:none}nav a.member{padding-left:1rem}
main{margin-left:17rem;padding:1rem 2rem;max-width:60rem}
input{width:100%%;font:inherit;box-sizing:border-box;margin-bottom:.5rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em;background:#f5f5f5}pre{padding:.6rem;overflow:auto;white-space:pre-wrap}
h3{border-top:1px solid #ccc;padding-top:1rem}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2rem .5rem;text-align:left;vertical-align:top}
@media(max-width:50rem){nav{position:static;width:auto}main{margin:0}}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}nav,code,pre{background:#242424}nav a{color:#8ab4f8}}
</style></head><body>
<nav><input id="q" type="search" placeholder="search" aria-label="search">%s</nav>
<main><h1>What scripts can use</h1>%s</main>
<script>
q.oninput=()=>{const w=q.value.toLowerCase().split(/\s+/);for(const s of document.querySelectorAll("section")){
const hit=w.every(x=>s.textContent.toLowerCase().includes(x));s.hidden=!hit;document.querySelector('nav a[href="#'+s.id+'"]').hidden=!hit}}
</script></body></html>
`

// HTML returns one page of all entries.
func HTML(all []Entry) string {
	var nav, body strings.Builder
	for _, e := range all {
		id := html.EscapeString(string(e.Part) + "-" + e.Name)
		class, level := "member", 4
		if e.Members != nil || e.Part == Scripts {
			class, level = "", 3
		}
		fmt.Fprintf(&nav, "<a class=\"%s\" href=\"#%s\">%s</a>\n", class, id, html.EscapeString(e.Name))
		fmt.Fprintf(&body, "<section id=\"%s\"><h%d><code>%s</code></h%d>\n%s</section>\n", id, level, html.EscapeString(e.Name+e.Signature), level, e.html())
	}
	return fmt.Sprintf(page, nav.String(), body.String())
}

func (e Entry) html() string {
	var b strings.Builder
	for _, p := range strings.Split(e.Doc, "\n\n") {
		if strings.HasPrefix(p, "  ") {
			fmt.Fprintf(&b, "<pre>%s</pre>\n", html.EscapeString(p))
		} else {
			fmt.Fprintf(&b, "<p>%s</p>\n", inline(p))
		}
	}
	if e.Arguments != nil {
		b.WriteString("<ul>\n")
		for _, a := range e.Arguments {
			fmt.Fprintf(&b, "<li><code>%s</code>: %s</li>\n", html.EscapeString(a.Name), inline(a.Doc))
		}
		b.WriteString("</ul>\n")
	}
	if e.Settings != nil {
		b.WriteString("<table><tr><th>setting</th><th>kind</th><th>default</th><th>what it says</th></tr>\n")
		for _, s := range e.Settings {
			fmt.Fprintf(&b, "<tr><td><code>%s</code></td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
				html.EscapeString(strings.Join(append([]string{s.Name}, s.Aliases...), ", ")), s.Kind, html.EscapeString(s.shownDefault("")), inline(s.Doc))
		}
		b.WriteString("</table>\n")
	}
	if e.Example != "" {
		fmt.Fprintf(&b, "<pre>%s</pre>\n", html.EscapeString(e.Example))
	}
	return b.String()
}

var (
	link   = regexp.MustCompile(`\[([^\]]+)\]\((https://[^)\s]+)\)`)
	quoted = regexp.MustCompile("`([^`]+)`")
)

// inline returns text with its links and its code.
func inline(text string) string {
	text = link.ReplaceAllString(html.EscapeString(text), `<a href="$2">$1</a>`)
	return quoted.ReplaceAllString(text, "<code>$1</code>")
}
