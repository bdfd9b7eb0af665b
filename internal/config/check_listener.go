package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

func (l *loader) checkGateway() {
	g := l.cfg.Gateway
	l.checkListener("gateway", &l.cfg.Gateway.Listener)
	const allowed = "a path such as /heartbeat, of letters, digits, - _ ~ and ., without a slash at its end"
	l.match("gateway.path", g.Path, pathPattern, allowed)
	l.match("gateway.run_path", g.RunPath, pathPattern, allowed)
	l.match("gateway.callback_path", g.CallbackPath, pathPattern, allowed)
	l.apart("gateway.run_path", g.RunPath, "gateway.path", g.Path)
	l.apart("gateway.callback_path", g.CallbackPath, "gateway.path", g.Path)
	l.apart("gateway.callback_path", g.CallbackPath, "gateway.run_path", g.RunPath)
	within(l, "gateway.rate", g.Rate, 0, 1_000_000)
	within(l, "gateway.burst", g.Burst, 1, 1_000_000)
	within(l, "gateway.max_body", g.MaxBody, 1, 4<<10)
	within(l, "gateway.max_wait", g.MaxWait, time.Millisecond, time.Hour)
}

// apart reports a path that another one holds, or that holds it.
func (l *loader) apart(key, path, otherKey, other string) {
	if strings.HasPrefix(path+"/", other+"/") || strings.HasPrefix(other+"/", path+"/") {
		l.bad(key, quote(path), "a path that neither holds "+otherKey+" nor lies within it")
	}
}

const minCallbackKey = 32

func (l *loader) checkCallback() {
	c := l.cfg.Callback
	if key := c.Key.Reveal(); key != "" && len(key) < minCallbackKey {
		l.bad("callback.key", fmt.Sprintf("%d characters", len(key)), fmt.Sprintf("%d or more, which nobody can guess", minCallbackKey))
	}
	if c.URL == "" {
		return
	}
	if c.Key.IsZero() {
		l.bad("callback.key", "nothing", "a value, since callback.url is set")
	}
	const allowed = "an address such as https://systole.example/callback, without user, ? and #"
	if u, err := url.Parse(c.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		l.bad("callback.url", quote(hideUser(withoutQuery(c.URL))), allowed)
	}
}

func (l *loader) checkConsole() { l.checkListener("console", &l.cfg.Console.Listener) }

// checkListener checks what gateway and console have in common, and settles the mode of authentication.
func (l *loader) checkListener(prefix string, from *Listener) {
	l.address(prefix+".listen", from.Listen, "")
	l.checkAuth(prefix, from)
	if !needed(l.Roles, prefix) {
		return
	}
	l.readable(prefix+".tls.cert_file", from.TLS.CertFile)
	l.readable(prefix+".tls.key_file", from.TLS.KeyFile)
	l.pair(prefix+".tls.cert_file", prefix+".tls.key_file", from.TLS.CertFile != "", from.TLS.KeyFile != "")
	if l.faulty[prefix+".tls.cert_file"] || l.faulty[prefix+".tls.key_file"] {
		return
	}
	if from.TLS != (ServerTLS{}) {
		l.certificate(prefix+".tls.cert_file", from.TLS.CertFile, from.TLS.KeyFile)
	}
}

// certificate reports a pair of files that is none, and warns of a certificate that nobody takes any more.
func (l *loader) certificate(key, certFile, keyFile string) {
	pair, err := loadPair(certFile, keyFile)
	switch {
	case err != nil:
		l.bad(key, err.Error(), "a PEM certificate and its key")
	case time.Now().After(pair.Leaf.NotAfter):
		l.warn(key, "the certificate has expired on "+pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
}
