package trigger

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// fetch asks an issuer where its keys are, and then for them.
func (s *Issuers) fetch(ctx context.Context, name string) ([]jose.JSONWebKey, error) {
	ctx = oidc.ClientContext(ctx, s.client)
	provider, err := oidc.NewProvider(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("discover issuer %s: %w", name, brief(err))
	}
	var said struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, fmt.Errorf("discover issuer %s: %w", name, err)
	}
	u, err := url.Parse(said.Keys)
	elsewhere := err == nil && u.Scheme != "https" && strings.HasPrefix(name, "https:") // an issuer far away has nothing to say of this machine's ports
	if err != nil || u.Host == "" || !trustedWay(u) || elsewhere {
		return nil, fmt.Errorf("keys of issuer %s: found address %s, allowed is https, or http on loopback where the issuer is there, too", name, quote(said.Keys))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, said.Keys, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s: %w", name, err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s: %w", name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("keys of issuer %s: %w", name, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys of issuer %s: answered %s", name, response.Status)
	}
	return decodeKeys(name, body)
}

// decodeKeys reads a JWK set, and passes over keys of kinds that it does not know.
func decodeKeys(name string, body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("keys of issuer %s: %w", name, err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.Valid() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("keys of issuer %s: found none that can be used among %d", name, len(set.Keys))
	}
	return keys, nil
}

// brief bounds an error that repeats what an issuer answered.
func brief(err error) error {
	const longest = 300
	if text := err.Error(); len(text) > longest {
		return errors.New(text[:longest] + "…")
	}
	return err
}

// boundedTransport bounds answers: the library reads them whole.
type boundedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxKeys)
	return response, nil
}

func (cfg IssuersConfig) transport() (http.RoundTripper, error) {
	switch {
	case cfg.CAFile == "" && cfg.Transport == nil:
		return http.DefaultTransport, nil
	case cfg.CAFile == "":
		return cfg.Transport, nil
	case cfg.Transport != nil:
		return nil, errors.New("issuers: found a CA file and a transport, allowed is one of them")
	}
	trusting, err := newRenewed(cfg.Logger, trustAlso, cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("issuers: %w", err)
	}
	return trustingTransport{trusting}, nil
}

// trustingTransport also trusts the authorities of a file, as it is at the moment.
type trustingTransport struct{ *renewed[http.Transport] }

// RoundTrip implements http.RoundTripper.
func (t trustingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.current().RoundTrip(r)
}

func trustAlso(contents [][]byte) (*http.Transport, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !roots.AppendCertsFromPEM(contents[0]) {
		return nil, errNoCertificate
	}
	return &http.Transport{
		// A connection is made apart from the request that asked for it, and does not end with it.
		DialContext: (&net.Dialer{Timeout: keysTimeout}).DialContext, TLSHandshakeTimeout: keysTimeout, IdleConnTimeout: keysTimeout,
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}, nil
}
