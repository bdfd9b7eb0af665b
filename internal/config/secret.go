package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/systole-run/systole/internal/secret"
)

// redacted stands wherever a secret would.
const redacted = "[redacted]"

// Secret is a text that must not be seen. Reveal gives it to the code that needs it; every way of printing, logging or
// encoding gives "[redacted]" instead. The zero Secret is none.
type Secret struct {
	kept *kept
}

// kept has the text behind a pointer of its own: where a Secret is in an unexported field, fmt cannot call its methods
// and follows one pointer, but never two.
type kept struct {
	text      *string
	reference string // env:NAME or file:/path that it was read from; empty for a literal
	pending   bool   // reference is not resolved yet
}

// NewSecret keeps a text as a secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&kept{text: &text}}
}

// Reveal gives the secret itself; empty if there is none.
func (s Secret) Reveal() string {
	if s.kept == nil || s.kept.text == nil {
		return ""
	}
	return *s.kept.text
}

// Current is Reveal for what is needed again long after the start, such as the password of a connection that is made anew: a
// secret that was read from a file is read again. Where that fails, as while the file is being exchanged, it is the old one.
func (s Secret) Current() string {
	if path, ok := strings.CutPrefix(s.Reference(), "file:"); ok {
		if text, err := secret.ReadFile(path); err == nil {
			return text
		}
	}
	return s.Reveal()
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.kept == nil }

// Reference says what the secret was read from; empty for a literal.
func (s Secret) Reference() string {
	if s.kept == nil {
		return ""
	}
	return s.kept.reference
}

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format implements fmt.Formatter, so that no verb reaches the fields.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || (verb == 'v' && f.Flag('#')) {
		fmt.Fprintf(f, "%q", s.String())
		return
	}
	fmt.Fprint(f, s.String())
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalYAML implements yaml.InterfaceMarshaler.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
