package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"starling/engine"
)

const healthTimeout = 3 * time.Second

func newHealth(p *program) *cobra.Command {
	var file, url string
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running starling whether it is alive",
		Long: `Asks /healthz of the status server at starling.listen, or at --url. The exit code is 0 if it
answers that all is well, else 1: what a container's HEALTHCHECK wants. Whether collectors and
outputs work is another question, which /readyz answers.`,
		Example: "  starling health --config config/config.yaml\n  starling health --url http://127.0.0.1:9464/readyz",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if url == "" {
				config, err := p.loadConfig(file)
				if err != nil {
					return err
				}
				if url, err = healthURL(config); err != nil {
					return &failure{exitWrong, err}
				}
			}
			if err := askHealth(c.Context(), url); err != nil {
				return &failure{exitWrong, err}
			}
			p.answerWith(healthy{true, url}, func() { fmt.Fprintln(p.stdout, "ok") })
			return nil
		},
	}
	configFlag(c, &file)
	p.jsonFlag(c, oneObject)
	c.Flags().StringVar(&url, "url", "", "the address to ask, instead of the configuration's")
	c.MarkFlagsMutuallyExclusive("config", "url")
	return c
}

// healthy is what the command health prints.
type healthy struct {
	OK  bool   `json:"ok"`
	URL string `json:"url"`
}

// healthURL returns where the status server of config answers on this machine.
func healthURL(config *engine.Config) (string, error) {
	address, scheme := config.Listen, "http"
	if config.Status.Certificate != "" {
		scheme = "https"
	}
	if address == "" {
		return "", errors.New("starling.listen is off: there is no status server to ask")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/healthz", nil
}

func askHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// Not the default transport: a proxy in the environment is not for what runs on this machine.
	// Whoever answers is told nothing, so its certificate, which need not name this machine, is not checked.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
