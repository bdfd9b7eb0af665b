package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

const issuerAllowed = "an address such as https://token.actions.githubusercontent.com, without user, ? and #; http on loopback only"

func (l *loader) checkOIDC(key string, oidc OIDCAuth, names map[string]int) {
	within(l, key+".clock_skew", oidc.ClockSkew, time.Second, 10*time.Minute)
	l.issuer(key+".issuer", oidc.Issuer)
	for i, subject := range oidc.Subjects {
		path := fmt.Sprintf("%s.subjects[%d]", key, i)
		if l.faulty[path] {
			continue
		}
		known := subject.Subject + subject.Email
		if (subject.Subject == "") == (subject.Email == "") {
			l.bad(path, "both subject and email, or neither", "exactly one of them")
		}
		if len(known) > 255 || strings.ContainsFunc(known, unicode.IsControl) {
			l.bad(path+".subject", quote(known), "up to 255 bytes without control characters")
		}
		l.issuer(path+".issuer", subject.Issuer)
		if subject.Issuer == "" && oidc.Issuer == "" {
			l.bad(key+".issuer", "nothing", issuerAllowed)
		}
		if subject.Audience == "" && oidc.Audience == "" {
			l.bad(key+".audience", "nothing", "whom tokens must be for, such as the address of this gateway")
		}
		if subject.Name == "" {
			l.once(names, path, known, i, "a subject that is on the list already")
			subject.Name = "unnamed"
		} else {
			l.once(names, path+".name", subject.Name, i, "a name that another credential has")
		}
		l.checkGrant(path, subject.Name, subject.Scopes, subject.Groups)
	}
}

func (l *loader) issuer(key, issuer string) {
	if issuer == "" {
		return
	}
	u, err := url.Parse(issuer)
	plain := err == nil && u.Host != "" && u.User == nil && !strings.ContainsAny(issuer, "?#")
	if !plain || u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname())) {
		l.bad(key, quote(hideUser(issuer)), issuerAllowed)
	}
}

func (l *loader) checkMTLS(prefix string, from *Listener, names map[string]int) {
	key, clients := prefix+".auth.mtls", from.Auth.MTLS
	seen := map[string]int{}
	for i, subject := range clients.Subjects {
		path := fmt.Sprintf("%s.subjects[%d]", key, i)
		if l.faulty[path] {
			continue
		}
		known := slices.DeleteFunc([]string{"uri " + subject.URI, "dns " + subject.DNS, "email " + subject.Email, "cn " + subject.CN}, func(name string) bool { return strings.HasSuffix(name, " ") })
		if len(known) != 1 {
			l.bad(path, fmt.Sprintf("%d of uri, dns, email and cn", len(known)), "exactly one")
		} else {
			l.once(seen, path, known[0], i, "a name that another subject has")
		}
		l.checkGrant(path, subject.Name, subject.Scopes, subject.Groups)
		l.once(names, path+".name", subject.Name, i, "a name that another credential has")
	}
	if from.TLS == (ServerTLS{}) && (clients.CAFile != "" || from.Auth.Has(AuthMTLS)) {
		l.bad(prefix+".tls.cert_file", "nothing", "a certificate, since "+prefix+".auth has mtls: without TLS no client can present one, nor behind a proxy that ends TLS")
	}
}
