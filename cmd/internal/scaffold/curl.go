package scaffold

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// valued are the options of curl that take a value and say nothing about the request; those that do are in curlArgs.take.
const valued = " -o --output -m --max-time --connect-timeout --retry --retry-delay --retry-max-time -x --proxy --cacert --capath -w --write-out " +
	"--resolve --interface -c --cookie-jar --limit-rate -K --config -D --dump-header -z --time-cond -y -Y --ciphers --tls-max --max-redirs -T --upload-file " +
	"-C --continue-at -Q --quote -t --telnet-option --noproxy --unix-socket --keepalive-time -e --referer -A --user-agent -r --range "

// withValue are the short options that take a value, also when other options stand before them, as in -sSH.
const withValue = "XHdubmxowcDzyYKTCQteArEFU"

// curlArgs is what a command line of curl says.
type curlArgs struct {
	method, url, user string
	headers           []string
	data              []string
	get, head, json   bool
	cert              bool
	odd               []string
}

// ParseCurl reads a command line of curl. Nothing of it that is a secret is in what comes back but as something to hide.
func ParseCurl(line string) (*Draft, error) {
	words, err := Words(line)
	if err != nil {
		return nil, err
	}
	if len(words) > 0 && words[0] == "$" {
		words = words[1:]
	}
	if len(words) == 0 || words[0] != "curl" && words[0] != "curl.exe" {
		return nil, errors.New("this is no command line of curl: it has to begin with curl")
	}
	var a curlArgs
	if err := a.read(words[1:]); err != nil {
		return nil, err
	}
	return a.draft()
}

func (a *curlArgs) read(words []string) error {
	for i := 0; i < len(words); i++ {
		word := words[i]
		option, value, attached := word, "", false
		switch {
		case strings.HasPrefix(word, "--"):
			option, value, attached = strings.Cut(word, "=")
		case len(word) > 1 && word[0] == '-':
			at := strings.IndexAny(word[1:], withValue)
			for _, flag := range word[1:] {
				a.flag("-" + string(flag))
				if strings.ContainsRune(withValue, flag) {
					break
				}
			}
			if at < 0 {
				continue
			}
			option, value = "-"+word[at+1:at+2], word[at+2:]
			attached = value != ""
		default:
			if a.url != "" {
				a.odd = append(a.odd, "a second URL")
				continue
			}
			a.url = word
			continue
		}
		if !a.wants(option) {
			a.flag(option)
			continue
		}
		if !attached {
			if i++; i == len(words) {
				return fmt.Errorf("the option %s of curl has no value", option)
			}
			value = words[i]
		}
		a.take(option, value)
	}
	if a.url == "" {
		return errors.New("the command line of curl has no URL")
	}
	return nil
}

// flag takes an option without a value.
func (a *curlArgs) flag(option string) {
	switch option {
	case "-G", "--get":
		a.get = true
	case "-I", "--head":
		a.head = true
	}
}

// wants reports whether an option has a value.
func (a *curlArgs) wants(option string) bool {
	return strings.Contains(valued, " "+option+" ") || slices.Contains([]string{"-X", "--request", "-H", "--header", "-d", "--data", "--data-raw", "--data-binary",
		"--data-ascii", "--data-urlencode", "--json", "-u", "--user", "--url", "--url-query", "-b", "--cookie", "--oauth2-bearer", "-F", "--form", "--form-string", "-E", "--cert", "--key",
		"--pass", "--aws-sigv4", "-U", "--proxy-user", "--proxy-header"}, option)
}

func (a *curlArgs) take(option, value string) {
	switch option {
	case "-X", "--request":
		a.method = strings.ToUpper(value)
	case "-H", "--header":
		a.headers = append(a.headers, value)
	case "-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--data-urlencode":
		a.data = append(a.data, value)
	case "--json":
		a.json, a.data = true, append(a.data, value)
	case "-u", "--user":
		a.user = value
	case "--url":
		a.url = value
	case "--url-query":
		a.data, a.get = append(a.data, value), true
	case "-b", "--cookie":
		a.headers = append(a.headers, "Cookie: "+value)
	case "--oauth2-bearer":
		a.headers = append(a.headers, "Authorization: Bearer "+value)
	case "-E", "--cert", "--key":
		a.cert = true
	case "-F", "--form", "--form-string":
		a.odd = append(a.odd, "a form of several parts (-F)")
	case "--aws-sigv4":
		a.odd = append(a.odd, "a signature of AWS (--aws-sigv4), which http.signed can make")
	}
}

// draft makes a draft of what the options say.
func (a *curlArgs) draft() (*Draft, error) {
	d := &Draft{}
	r := &d.Request
	r.Method = a.method
	if r.Method == "" {
		r.Method = "GET"
		if len(a.data) > 0 && !a.get {
			r.Method = "POST"
		}
	}
	if err := d.takeURL(a.url); err != nil {
		return nil, err
	}
	for _, header := range a.headers {
		d.takeHeader(header)
	}
	if a.user != "" {
		d.takeUser(a.user)
	}
	a.takeData(d)
	if a.cert {
		d.todo("the API wants a client certificate, which http.client cannot show: is there another way to sign in?")
	}
	for _, odd := range a.odd {
		d.todo("the curl line has %s: what does it mean for the script?", odd)
	}
	if a.head || r.Method != "GET" && r.Method != "POST" {
		d.todo("the curl line sends %s: scripts send GET and POST; which of them reads the events?", r.Method)
		r.Method = "GET"
	}
	return d, nil
}

func (d *Draft) takeUser(user string) {
	name, password, _ := strings.Cut(user, ":")
	d.hide(unescape(password))
	if secretValue(name) {
		d.hide(name)
	}
	d.Request.Auth = Auth{Kind: "basic"}
}

// dull are headers that say nothing about the API.
var dull = []string{"accept", "accept-encoding", "accept-language", "user-agent", "content-type", "connection", "host", "content-length", "cache-control", "pragma",
	"origin", "referer", "dnt", "te", "upgrade-insecure-requests", "priority"}

func (d *Draft) takeHeader(header string) {
	name, value, _ := strings.Cut(header, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	lower := strings.ToLower(name)
	switch {
	case name == "":
	case lower == "authorization":
		d.takeAuthorization(value)
	case lower == "accept" && value != "*/*" && value != "application/json" || lower == "content-type" && strings.Contains(value, "json") && value != "application/json":
		d.Request.Headers = append(d.Request.Headers, Param{Name: name, Value: value})
	case slices.Contains(dull, lower) || strings.HasPrefix(lower, "sec-") || strings.HasPrefix(lower, ":"):
	case (secretName(name) || secretValue(value)) && d.Request.Auth.Kind == "" && lower != "cookie":
		d.hide(value)
		d.Request.Auth = Auth{Kind: "key", Header: name}
	default:
		d.takeParam(&d.Request.Headers, name, value)
	}
}

func (d *Draft) takeAuthorization(value string) {
	scheme, secret, found := strings.Cut(value, " ")
	if !found {
		d.hide(value)
		d.Request.Auth = Auth{Kind: "key", Header: "Authorization"}
		return
	}
	secret = strings.TrimSpace(secret)
	d.hide(secret)
	switch strings.ToLower(scheme) {
	case "bearer":
		d.Request.Auth = Auth{Kind: "bearer"}
	case "basic":
		if plain, err := base64.StdEncoding.DecodeString(secret); err == nil {
			d.takeUser(string(plain))
		}
		d.Request.Auth = Auth{Kind: "basic"}
	case "digest", "aws4-hmac-sha256", "hmac", "signature", "negotiate":
		d.todo("the API signs in with %s: http.signed can make a signature of each request; how is it made?", scheme)
	default:
		d.Request.Auth = Auth{Kind: "key", Header: "Authorization", Prefix: scheme + " "}
	}
}
