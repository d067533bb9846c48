package builtins

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A machineIdentity gets tokens for the machine itself from the platform that it runs on: Azure's
// instance metadata service, or the endpoint that App Service and its like name in the environment.
type machineIdentity struct {
	resource, clientID string
	errors             tokenErrors
}

func oauthManagedIdentity(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	m := &machineIdentity{errors: tokenErrors{remedy: "assign an identity to this machine, with leave to use it, and if it has several, name one by client_id"}}
	var hints *starlark.Dict
	var passing *starlark.List
	var ids *starlark.Dict
	if err := unpack(b, args, kwargs, 1, "resource", &m.resource, "client_id??", &m.clientID, "hints??", &hints, "passing??", &passing, "errors??", &ids); err != nil {
		return nil, err
	}
	if m.resource == "" {
		return nil, fmt.Errorf("%s: resource is empty", b.Name())
	}
	if err := m.errors.take(hints, passing); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	var err error
	if m.errors.ids, err = errorIDsOf(ids, requestErrors...); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return &tokenAuth{b.Name(), m.resource, m}, nil
}

func (m *machineIdentity) identity() string {
	return digest("managed identity", m.resource, m.clientID)
}

// metadataURL is where every virtual machine of Azure finds its metadata service.
const metadataURL = "http://169.254.169.254/metadata/identity/oauth2/token"

// request is the request for a token. Where it goes is fixed, or the operator's, and never a script's.
func (m *machineIdentity) request(id engine.Identity) (*request, error) {
	address, version := metadataURL, "2018-02-01"
	header, private := http.Header{"Metadata": {"true"}}, http.Header{}
	if id.Endpoint != "" {
		if id.Header.Reveal() == "" {
			return nil, errors.New("the environment has IDENTITY_ENDPOINT but not IDENTITY_HEADER, as on Azure Arc, which is not supported")
		}
		address, version = id.Endpoint, "2019-08-01"
		header, private = http.Header{}, http.Header{"X-Identity-Header": {id.Header.Reveal()}}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("IDENTITY_ENDPOINT of the environment is not the URL of a token endpoint")
	}
	query := params{{name: "api-version", value: version}, {name: "resource", value: m.resource}}
	if m.clientID != "" {
		query = append(query, param{name: "client_id", value: m.clientID})
	}
	u = appendQuery(u, query)
	return &request{span: "token", method: http.MethodGet, url: u, scope: scope{base: u}, header: header, private: private,
		timeout: 10 * time.Second, direct: true}, nil
}

// identityRetry is what Azure asks for: 404 while the service starts or an identity is new, 410 while it
// is updated, which takes up to 70 s, and less often than once a second.
func identityRetry(early bool) *retryPolicy {
	r := &retryPolicy{times: 7, statuses: []int{404, 408, 410, 429}, backoff: 4 * time.Second, cap: 15 * time.Second}
	if early {
		r.times = 0
	}
	return r
}

func (m *machineIdentity) fetch(p *engine.Pull, s *tokenSource, early bool) (token, error) {
	id := p.Env().Identity
	r, err := m.request(id)
	if err != nil {
		return token{}, &engine.Error{Code: engine.CodeConfig, Op: "get a token for this machine", Err: err, Hint: "use another way to sign in"}
	}
	p.Env().Redactor.Add(id.Header.Reveal())
	retry := identityRetry(early)
	t, err := askForToken(p, r, &exchange{retry: retry, gate: &s.gate, errors: m.errors.ids, judge: func(p *engine.Pull, r *request, a *answer) *failure {
		f := m.errors.failure(p, r, a)
		if slices.Contains(retry.statuses, a.status) {
			f.err.Code = codeOf(a.status)
		}
		return f
	}})
	if e, ok := errors.AsType[*engine.Error](err); ok && e.Hint == "" && e.Code == engine.CodeUpstream {
		e.Hint = "a managed identity is for machines of Azure: elsewhere nothing answers at this address"
	}
	return t.token(p.Clock()), err
}
