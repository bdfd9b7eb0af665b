// Package client talks to the admin API, for the commands.
//
// It owns requests, pages and errors in a form that a person can act on. It keeps nothing between calls, and repeats
// none: the caller knows whether that is wanted. Every call ends with its context.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/systole-run/systole/internal/admin/wire"
)

// maxAnswer bounds what is read of one answer: a full page of large flows.
const maxAnswer = 256 << 20

// Config says which server to talk to, and as whom. Zero fields take the default named.
type Config struct {
	Server string            // default "http://127.0.0.1:8080"; may have a path in front of /api
	Token  string            // sent as a bearer token; empty sends none
	HTTP   *http.Client      // default: one of its own, with Timeout
	Wait   time.Duration     // for one request, if HTTP is not set; default 60s
	Via    http.RoundTripper // of a client of its own; default http.DefaultTransport
}

// Client is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client. It connects to nothing yet.
func New(cfg Config) (*Client, error) {
	if cfg.Server == "" {
		cfg.Server = "http://127.0.0.1:8080"
	}
	if cfg.Wait == 0 {
		cfg.Wait = time.Minute
	}
	base, err := url.Parse(cfg.Server)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("server: found no such address, allowed is a URL like http://127.0.0.1:8080, without user, query or fragment")
	}
	if strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("token: found spaces or control characters in it, allowed is visible ASCII")
	}
	if cfg.HTTP == nil {
		// A redirect would carry the token, or turn a PUT into a GET; the API never sends one.
		cfg.HTTP = &http.Client{Transport: cfg.Via, Timeout: cfg.Wait, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Client{base: base, token: cfg.Token, http: cfg.HTTP}, nil
}

// call sends one request and decodes the answer into answer, unless that is nil. ask, unless nil, is the body.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, ask, answer any) error {
	body, err := c.send(ctx, method, path, query, ask)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("decode the answer of %s %s: %w", method, path, err)
	}
	return nil
}

// send sends one request and gives the body of its answer, or an Error where the server refused.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, ask any) ([]byte, error) {
	request, err := c.request(ctx, method, path, query, ask)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		var detailed *url.Error
		if errors.As(err, &detailed) {
			err = detailed.Err // without the URL, which is said already
		}
		return nil, fmt.Errorf("ask %s: %w", c.base.Redacted(), err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.base.Redacted(), err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, refused(method, path, response, body)
	}
	return body, nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, ask any) (*http.Request, error) {
	var body io.Reader
	if ask != nil {
		text, err := json.Marshal(ask)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	target := c.base.JoinPath(path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

// Health asks whether the API and its Redis answer.
func (c *Client) Health(ctx context.Context) (wire.Health, error) {
	var health wire.Health
	err := c.call(ctx, http.MethodGet, "/api/v1/health", nil, nil, &health)
	return health, err
}
