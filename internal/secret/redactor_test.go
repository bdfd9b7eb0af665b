package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/systole-run/systole/internal/secret"
)

const password = "p4ss/wörd+<&> of\\mine"

func TestASecretIsFoundInEverySpelling(t *testing.T) {
	t.Parallel()
	inJSON, _ := json.Marshal(password)
	redactor := secret.NewRedactor(password)
	for name, text := range map[string]string{
		"itself": password, "quoted": fmt.Sprintf("%q", password), "in ASCII": fmt.Sprintf("%+q", password), "in JSON": string(inJSON),
		"in a query": url.Values{"a": {password}}.Encode(), "in a path": (&url.URL{Path: "/" + password}).String(),
		"as a user": url.UserPassword("me", password).String(), "in hex": hex.EncodeToString([]byte(password)), "in HEX": fmt.Sprintf("%X", password),
		"in base64": base64.StdEncoding.EncodeToString([]byte(password)), "in base64 for URLs": base64.URLEncoding.EncodeToString([]byte(password)),
	} {
		got := redactor.Text("before " + text + " after")
		if !strings.HasPrefix(got, "before ") || !strings.Contains(got, secret.Mark) || !strings.HasSuffix(got, " after") || strings.Contains(got, "mine") {
			t.Errorf("%s: %s becomes %s", name, text, got)
		}
		if !redactor.Holds(text) {
			t.Errorf("%s: not held by %s", name, text)
		}
	}
	if text := "nothing of the kind"; redactor.Text(text) != text || redactor.Holds(text) {
		t.Error("a text without secret is not left alone")
	}
}

func TestASecretIsFoundWithinLongerBase64(t *testing.T) {
	t.Parallel()
	redactor := secret.NewRedactor("correct horse battery")
	for _, user := range []string{"", "a", "ab", "abc"} {
		text := base64.StdEncoding.EncodeToString([]byte(user + ":correct horse battery and more"))
		got := redactor.Text(text)
		if !strings.Contains(got, secret.Mark) {
			t.Errorf("after %q: %s", user, got)
		}
		if rest, _ := base64.RawStdEncoding.DecodeString(got[strings.Index(got, "]")+1:]); strings.Contains(string(rest), "battery") {
			t.Errorf("after %q: %s still tells %s", user, got, rest)
		}
	}
}

func TestASecretOfSeveralLinesIsFoundLineByLine(t *testing.T) {
	t.Parallel()
	const key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1h\n-----END KEY-----\n"
	got := secret.NewRedactor(key).Text("key: MC4CAQAwBQYDK2VwBCIEIJ1h")
	if got != "key: "+secret.Mark {
		t.Error(got)
	}
}

// drawSecrets draws secrets of few letters, so that they overlap each other and themselves.
func drawSecrets(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("abA\n")), 4, 12, -1), 1, 3).Draw(t, "secrets")
}

// drawText draws a text that has whole secrets, parts of them and other letters in it.
func drawText(t *rapid.T, secrets []string) string {
	parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "other") {
			return rapid.StringOfN(rapid.RuneFrom([]rune("abc A\n")), 0, 6, -1).Draw(t, "text")
		}
		known := rapid.SampledFrom(secrets).Draw(t, "of")
		from := rapid.IntRange(0, len(known)).Draw(t, "from")
		if rapid.Bool().Draw(t, "whole") {
			from = 0
		}
		return known[from:]
	}), 0, 8).Draw(t, "parts")
	return strings.Join(parts, "")
}

func TestAWriterFindsSecretsHoweverTheyAreSplit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secrets := drawSecrets(t)
		text := drawText(t, secrets)
		redactor := secret.NewRedactor(secrets...)
		longest := 0
		for _, known := range secrets {
			for _, spelling := range secret.Spellings(known) {
				longest = max(longest, len(spelling))
			}
		}
		var out bytes.Buffer
		writer := redactor.Writer(&out)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "write")
			if taken, err := io.WriteString(writer, rest[:n]); taken != n || err != nil {
				t.Fatal(taken, err)
			}
			rest = rest[n:]
			if written := text[:len(text)-len(rest)]; strings.ReplaceAll(out.String(), secret.Mark, "") == "" && len(written) >= longest && !redactor.Holds(written) {
				t.Fatalf("more than %d bytes of %q are held back", longest-1, written)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != redactor.Text(text) {
			t.Fatalf("in parts %q, whole %q", out.String(), redactor.Text(text))
		}
		for _, part := range strings.Split(out.String(), secret.Mark) {
			if redactor.Holds(part) {
				t.Fatalf("%q still has a secret", out.String())
			}
		}
	})
}

func TestAWriterHoldsNothingBackThatCannotBecomeASecret(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	writer := secret.NewRedactor("hunter22").Writer(&out)
	for _, step := range []struct{ write, want string }{
		{"a line\n", "a line\n"}, {"no hun", "a line\nno "}, {"ger\n", "a line\nno hunger\n"}, {"hunter2", "a line\nno hunger\n"}, {"2!", "a line\nno hunger\n[redacted]!"},
	} {
		if _, err := io.WriteString(writer, step.write); err != nil || out.String() != step.want {
			t.Fatalf("after %q: %q and %v, want %q", step.write, out.String(), err, step.want)
		}
	}
}

func TestAWriterTellsWhatTheNextOneAnswers(t *testing.T) {
	t.Parallel()
	_, err := io.WriteString(secret.NewRedactor("hunter22").Writer(iotest.TruncateWriter(failing{}, 0)), "x")
	if err != nil {
		t.Errorf("nothing failed, and it says %v", err)
	}
	if _, err := io.WriteString(secret.NewRedactor("hunter22").Writer(failing{}), "x"); err == nil {
		t.Error("it says nothing of a failure")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAWriterTakesSeveralGoroutines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	writer := secret.NewRedactor("hunter22").Writer(&out)
	var writing sync.WaitGroup
	for range 8 {
		writing.Go(func() {
			for range 100 {
				_, _ = io.WriteString(writer, "a hunter22 line\n")
			}
		})
	}
	writing.Wait()
	if out.String() != strings.Repeat("a [redacted] line\n", 800) {
		t.Error("lines are not whole")
	}
}

func FuzzAWriterNeverPassesASecretOn(f *testing.F) {
	f.Add("hunter22", "one hunter22 two", 5)
	f.Add("aaaa", "aaaaaaaaaa", 3)
	f.Add("0000", "00000", 95) // nothing comes after what is held back
	f.Fuzz(func(t *testing.T, known, text string, at int) {
		if len(known) < secret.MinBytes || len(known) > 100 || strings.Contains(secret.Mark, known[:1]) {
			t.Skip()
		}
		redactor := secret.NewRedactor(known)
		var out bytes.Buffer
		writer := redactor.Writer(&out)
		at = min(max(at, 0), len(text))
		_, _ = io.WriteString(writer, text[:at]) // into memory
		_, _ = io.WriteString(writer, text[at:])
		if err := writer.Close(); err != nil || out.String() != redactor.Text(text) {
			t.Errorf("in parts %q, whole %q, %v", out.String(), redactor.Text(text), err)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	redactor := secret.NewRedactor("hunter22hunter22", "correct horse battery", strings.Repeat("MC4CAQAwBQYDK2VwBCIEIJ1h", 80))
	chunk := bytes.Repeat([]byte("a line of output that has nothing to hide\n"), 780)
	b.SetBytes(int64(len(chunk)))
	writer := redactor.Writer(io.Discard)
	for b.Loop() {
		_, _ = writer.Write(chunk)
	}
}
