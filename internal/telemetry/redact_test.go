package telemetry_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/systole-run/systole/internal/telemetry"
)

// secrets draws texts of every kind of letter, with a start that no log line has by itself.
func secrets() *rapid.Generator[string] {
	letters := rapid.RuneFrom([]rune("abcXYZ019 \"'\\/%&=+@:;<>{}[]\n\t~äß€🔑\x00"))
	return rapid.Map(rapid.StringOfN(letters, 3, 20, -1), func(tail string) string { return "s3§" + tail })
}

// disguises are what a secret may be wrapped in on its way into a log call.
var disguises = []func(string) any{
	func(s string) any { return s },
	func(s string) any { return "some text " + s + " and more" },
	func(s string) any { return []byte(s) },
	func(s string) any { return errors.New(s) },
	func(s string) any { return fmt.Errorf("open %q: %w", s, io.EOF) },
	func(s string) any { return errors.Join(io.EOF, fmt.Errorf("%+q", s)) },
	func(s string) any {
		return &url.Error{Op: "Get", URL: "http://a/?q=" + url.QueryEscape(s), Err: errors.New(s)}
	},
	func(s string) any { return stringer{s} },
	func(s string) any { return &stringer{s} },
	func(s string) any { return slog.StringValue(s) },
	func(s string) any { return slog.GroupValue(slog.String("a", s), slog.Any("b", []string{s})) },
	func(s string) any { return valuer{s} },
	func(s string) any { return []any{s, 1, nil, map[string]any{"k": s}} },
	func(s string) any { return map[string]string{s: s} },
	func(s string) any { return struct{ A, B any }{s, &struct{ C string }{s}} },
	func(s string) any { data, _ := json.Marshal(s); return json.RawMessage(data) },
	func(s string) any { return struct{ Data []byte }{[]byte(s)} },
	func(s string) any { return url.URL{Scheme: "http", Host: "h", User: url.UserPassword("u", s)} },
	func(s string) any { return &url.URL{Scheme: "http", Host: "h", Path: "/" + s} },
	func(s string) any { return base64.StdEncoding.EncodeToString([]byte(s)) },
}

type valuer struct{ text string }

func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("inner", v.text)) }

func TestARegisteredSecretIsInNoOutputHoweverItIsNested(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		known := rapid.SliceOfN(secrets(), 1, 4).Draw(t, "secrets")
		if rapid.Bool().Draw(t, "with a longer one") {
			known = append(known, known[0]+"longer")
			defer func() {
				if !t.Failed() && strings.Contains(out.String(), "longer") {
					t.Fatalf("the end of a secret is in\n%s", out.String())
				}
			}()
		}
		format := rapid.SampledFrom([]string{"text", "json"}).Draw(t, "format")
		logger := telemetry.NewLogs(&out, telemetry.LogConfig{Format: format, Secrets: known}).For("x")
		for _, secret := range known {
			logger = nest(t, logger, secret)
		}
		for _, secret := range known {
			logger.Info("message "+secret, "key "+secret, disguise(t, secret), slog.Group("group", "deep", slog.GroupValue(slog.Any("deeper", disguise(t, secret)))))
		}
		for _, secret := range known {
			for _, form := range traces(secret) {
				if strings.Contains(out.String(), form) {
					t.Fatalf("%q is in\n%s", form, out.String())
				}
			}
		}
	})
}

func nest(t *rapid.T, logger *slog.Logger, secret string) *slog.Logger {
	switch rapid.IntRange(0, 2).Draw(t, "nest") {
	case 0:
		return logger.With("with", disguise(t, secret))
	case 1:
		return logger.WithGroup("group " + secret)
	}
	return logger
}

func disguise(t *rapid.T, secret string) any {
	return rapid.SampledFrom(disguises).Draw(t, "disguise")(secret)
}

// traces are the forms in which a secret would stand in a line, as its text and as either handler writes that.
func traces(secret string) []string {
	inJSON, _ := json.Marshal(secret)
	quoted := strconv.Quote(secret)
	return []string{
		secret, string(inJSON[1 : len(inJSON)-1]), quoted[1 : len(quoted)-1],
		url.QueryEscape(secret), (&url.URL{Path: secret}).EscapedPath(), base64.StdEncoding.EncodeToString([]byte(secret)),
	}
}

func FuzzRedactionEndsAndKeepsARegisteredSecretOut(f *testing.F) {
	f.Add("Bearer bearer Bearer x@://@", "swordfish")
	f.Add("redis://a:b@c", "a:b@c")
	f.Fuzz(func(t *testing.T, text, secret string) {
		secret = "§" + secret + "swordfish"
		var out bytes.Buffer
		telemetry.NewLogs(&out, telemetry.LogConfig{Format: "json", Secrets: []string{secret}}).For("x").Info(text+secret, "v", secret+text)
		inJSON, _ := json.Marshal(secret)
		if strings.Contains(out.String(), string(inJSON[1:len(inJSON)-1])) || strings.Contains(out.String(), secret) {
			t.Errorf("%q is in %s", secret, out.String())
		}
	})
}
