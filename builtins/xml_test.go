package builtins

import (
	"os"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

func TestXMLOfARealShape(t *testing.T) {
	body, err := os.ReadFile("../scripts/testdata/microsoft/synthetic/legacy_atom_entry.xml")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := decodeXML(body)
	if err != nil {
		t.Fatal(err)
	}
	if feed.name != "feed" || feed.space != "http://www.w3.org/2005/Atom" {
		t.Errorf("root: %s in %s", feed.name, feed.space)
	}
}

func TestXMLRefusesWhatIsNoDocument(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":              "",
		"text":                 "hello",
		"two roots":            "<a/><b/>",
		"text behind":          "<a/>x",
		"cut":                  "<a><b>",
		"wrong end":            "<a></b>",
		"entity of its own":    `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`,
		"too deep":             strings.Repeat("<a>", xmlDepth+1) + strings.Repeat("</a>", xmlDepth+1),
		"too many elements":    "<a>" + strings.Repeat("<b/>", xmlElements) + "</a>",
		"another encoding":     `<?xml version="1.0" encoding="utf-16"?><a/>`,
		"a forbidden raw byte": "<a>\x01</a>",
	} {
		if e, err := decodeXML([]byte(body)); err == nil {
			t.Errorf("%s: got %v", name, e)
		}
	}
}

func TestXMLKeepsWhatWritersEscape(t *testing.T) {
	e, err := decodeXML([]byte("\xef\xbb\xbf<?xml version=\"1.0\"?><!-- c --><a x:b='1 &amp; 2' xmlns:x='u'>t&#x1F;&#10;&#55357;<![CDATA[<&]]>&#x1F4E7;</a>"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.text.String(), "t\uFFFD\n\uFFFD<&\U0001F4E7"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if v, _, _ := e.attrs.Get(starlark.String("b")); v != starlark.String("1 & 2") {
		t.Errorf("attribute: %v", v)
	}
}

// FuzzXML reads any bytes: an error or a document within its bounds.
func FuzzXML(f *testing.F) {
	for _, s := range []string{"<a/>", "<a b='c'>d<e/></a>", "<a>&#x1F;&#xD800;</a>", "<!DOCTYPE a><a>&amp;</a>", "<a xmlns='u'><![CDATA[x]]></a>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := decodeXML(body)
		if err != nil {
			return
		}
		if text := len(e.text.String()); text > 4*len(body) {
			t.Errorf("%d bytes became %d", len(body), text)
		}
		if e.name == "" {
			t.Error("a root without a name")
		}
	})
}
