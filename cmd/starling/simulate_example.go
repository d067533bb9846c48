package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"starling/cmd/internal/exampleapi"
)

// simulateExample answers as the API of docs/tutorial.md until ctx ends, and writes what one has of an API in the beginning: a curl line that works, and an answer.
func (p *program) simulateExample(ctx context.Context, f simulateFlags) error {
	dir, err := simulationDir(f.dir)
	if err != nil {
		return &failure{exitOther, err}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return &failure{exitOther, fmt.Errorf("%w (--listen takes another address; with port 0 any that is free)", err)}
	}
	defer l.Close()
	address := "http://" + l.Addr().String() + "/v1/alerts"
	if err := writeExample(dir, address); err != nil {
		return &failure{exitOther, err}
	}
	curl, answer := filepath.Join(dir, "curl.txt"), filepath.Join(dir, "answer.json")
	p.say(exampleReady{"ready", address, curl, answer}, "An API of alerts answers at %s. What there is to begin with:\n\n"+
		"  %s     a curl line that works\n  %s  what it answers\n\nCtrl-C ends it.\n", address, curl, answer)
	s := &http.Server{Handler: exampleapi.Handler(time.Now), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); ctx.Err() == nil {
		return &failure{exitOther, err}
	}
	return nil
}

func writeExample(dir, address string) error {
	to := time.Now().UTC().Truncate(time.Hour)
	query := url.Values{"from": {to.Add(-time.Hour).Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}, "limit": {"3"}}
	answer, err := exampleapi.Sample(query, time.Now())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	curl := fmt.Sprintf("curl -H \"Authorization: Bearer %s\" \"%s?from=%s&to=%s&limit=3\"\n", exampleapi.Token, address, query.Get("from"), query.Get("to"))
	if err := os.WriteFile(filepath.Join(dir, "curl.txt"), []byte(curl), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "answer.json"), append(answer, '\n'), 0o600)
}
