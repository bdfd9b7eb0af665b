package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
)

// URLs are one or several addresses, which may hold a user and a password. Reveal gives them whole; every way of
// printing, logging or encoding hides what stands before the @.
type URLs struct {
	kept *keptURLs
}

type keptURLs struct {
	raw       *[]string // a pointer for the same reason as in Secret
	reference string    // env:NAME or file:/path that they were read from
	pending   bool      // reference is not resolved yet
}

func urls(raw ...string) URLs { return URLs{&keptURLs{raw: &raw}} }

// Reveal gives the addresses as written, passwords included.
func (u URLs) Reveal() []string {
	if u.kept == nil || u.kept.raw == nil {
		return nil
	}
	return slices.Clone(*u.kept.raw)
}

// IsZero reports whether there is no address.
func (u URLs) IsZero() bool { return len(u.Reveal()) == 0 }

// Redacted gives the addresses without users and passwords.
func (u URLs) Redacted() []string {
	hidden := u.Reveal()
	for i, raw := range hidden {
		hidden[i] = hideUser(raw)
	}
	return hidden
}

// String implements fmt.Stringer.
func (u URLs) String() string { return strings.Join(u.Redacted(), ",") }

// Format implements fmt.Formatter, so that no verb reaches the fields.
func (u URLs) Format(f fmt.State, verb rune) {
	if verb == 'q' || (verb == 'v' && f.Flag('#')) {
		fmt.Fprintf(f, "%q", u.String())
		return
	}
	fmt.Fprint(f, u.String())
}

// GoString implements fmt.GoStringer.
func (u URLs) GoString() string { return fmt.Sprintf("%q", u.String()) }

// MarshalText implements encoding.TextMarshaler.
func (u URLs) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// MarshalJSON implements json.Marshaler.
func (u URLs) MarshalJSON() ([]byte, error) { return json.Marshal(u.Redacted()) }

// MarshalYAML implements yaml.InterfaceMarshaler.
func (u URLs) MarshalYAML() (any, error) { return u.Redacted(), nil }

// LogValue implements slog.LogValuer.
func (u URLs) LogValue() slog.Value { return slog.StringValue(u.String()) }

// secrets lists what in the addresses must not be seen, as written and decoded. A lone user is the token of a NATS URL.
func (u URLs) secrets() []string {
	var found []string
	for _, raw := range u.Reveal() {
		parsed, err := url.Parse(raw)
		if err != nil || parsed.User == nil {
			continue
		}
		written := parsed.User.String()
		decoded, password := parsed.User.Username(), false
		if text, ok := parsed.User.Password(); ok {
			_, written, _ = strings.Cut(written, ":")
			decoded, password = text, true
		}
		if decoded != "" || password {
			found = append(found, written, decoded)
		}
	}
	return found
}

// hideUser puts a mark in place of everything before the last @ of an address, whether or not it can be parsed.
func hideUser(raw string) string {
	at := strings.LastIndexByte(raw, '@')
	if at < 0 {
		return raw
	}
	scheme, _, ok := strings.Cut(raw[:at], "://")
	if !ok {
		return redacted + raw[at:]
	}
	return scheme + "://" + redacted + raw[at:]
}
