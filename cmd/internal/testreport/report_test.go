package testreport

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestJUnit(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := JUnit(&b, []File{
		{File: "a_test.star", Tests: []Test{{Name: "test_x", OK: true, Milliseconds: 1500}, {Name: "test_x/<part>", Milliseconds: 500, Error: "a_test.star:3:5: got \"1\"\nwant & 2", At: "a_test.star", Line: 3}}},
		{File: "b_test.star", Error: "does not load"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Suites []struct {
			Name     string  `xml:"name,attr"`
			Tests    int     `xml:"tests,attr"`
			Failures int     `xml:"failures,attr"`
			Time     float64 `xml:"time,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Class   string `xml:"classname,attr"`
				Line    int    `xml:"line,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	a, second := got.Suites[0], got.Suites[1]
	if a.Name != "a_test.star" || a.Tests != 2 || a.Failures != 1 || a.Time != 1.5 || a.Cases[0].Failure != nil || a.Cases[1].Name != "test_x/<part>" ||
		a.Cases[1].Line != 3 || a.Cases[1].Failure.Text != "a_test.star:3:5: got \"1\"\nwant & 2" || a.Cases[0].Class != "a_test" {
		t.Errorf("got %+v", a)
	}
	if second.Tests != 1 || second.Failures != 1 || second.Cases[0].Failure.Message != "does not load" {
		t.Errorf("got %+v", second)
	}
}
