package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/systole-run/systole/internal/config"
)

const secret = "hunter2-hunter2-hunter2"

// withSecrets has the secret in every place where a setting may have one.
func withSecrets(t testing.TB) config.Config {
	t.Helper()
	return load(t, options(t, `
nats: {user: u, password: 'env:P'}
redis: {url: 'env:R', username: u, password_file: `+write(t, "password", secret+"\n")+`}
gateway: {auth: {tokens: [{name: a, value: 'env:P'}]}}
console: {auth: {tokens: [{name: b, sha256: 'env:S'}]}}
`, "P="+secret, "R=redis://user:"+secret+"@127.0.0.1:6379", "S="+strings.Repeat("ab", 32)))
}

func TestASecretIsInNoPrintOfAConfig(t *testing.T) {
	t.Parallel()
	cfg := withSecrets(t)
	hidden := struct{ inner config.Secret }{cfg.NATS.Password}
	hiddenURL := struct{ inner config.URLs }{cfg.Redis.URL}
	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		outputs[verb] = fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, &cfg) + fmt.Sprintf(verb, cfg.NATS.Password) +
			fmt.Sprintf(verb, hidden) + fmt.Sprintf(verb, hiddenURL) + fmt.Sprintf(verb, cfg.Redis.URL)
	}
	data, err := json.Marshal(cfg)
	outputs["JSON"] = fmt.Sprint(string(data), err)
	data, err = yaml.Marshal(cfg)
	outputs["YAML"] = fmt.Sprint(string(data), err)
	var show bytes.Buffer
	if err := cfg.Show(&show); err != nil {
		t.Fatal(err)
	}
	outputs["Show"] = show.String()
	outputs["String"] = cfg.NATS.Password.GoString() + cfg.NATS.Password.String() + cfg.Redis.URL.GoString() + cfg.Redis.URL.String()
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).Info("loaded", "config", cfg, "password", cfg.NATS.Password, "url", cfg.Redis.URL, "p", &cfg.NATS.Password)
		outputs["log"] += log.String()
	}
	for name, output := range outputs {
		if strings.Contains(output, secret) || strings.Contains(output, fmt.Sprintf("%x", secret)) {
			t.Errorf("%s tells the secret: %s", name, output)
		}
	}
	contains(t, outputs["Show"], "[redacted]", "env:P", "password")
}

func TestSecretsAreReadFromEverywhereTheyMayBe(t *testing.T) {
	t.Parallel()
	cfg := withSecrets(t)
	if cfg.NATS.Password.Reveal() != secret || cfg.Redis.Password.Reveal() != secret || cfg.Gateway.Auth.Tokens[0].Value.Reveal() != secret {
		t.Error("a secret was not read")
	}
	if got := cfg.Redis.URL.Reveal(); !slices.Equal(got, []string{"redis://user:" + secret + "@127.0.0.1:6379"}) {
		t.Errorf("redis.url has %d addresses", len(got))
	}
	if got := cfg.Secrets(); !slices.Equal(got, []string{secret}) {
		t.Errorf("Secrets gives %d texts, want the one", len(got))
	}
}

func TestASecretLosesOneNewlineAtItsEndAndNoMore(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a ": " a "} {
		cfg := load(t, options(t, "nats: {user: u, password_file: "+write(t, "p", content)+"}"))
		if got := cfg.NATS.Password.Reveal(); got != want {
			t.Errorf("%q gives %q, want %q", content, got, want)
		}
	}
}

func TestASecretThatIsMissingOrEmptyIsAnErrorThatNamesTheReference(t *testing.T) {
	t.Parallel()
	long := write(t, "long", strings.Repeat("hunter2", 10_000))
	for reference, why := range map[string]string{
		"env:UNSET": "not set", "env:EMPTY": "is empty", "env:NEWLINE": "is empty", "file:/nowhere": "no such file",
		"file:" + write(t, "empty", "\n"): "is empty", "file:/dev/zero": "not a regular file", "file:" + t.TempDir(): "not a regular file", "file:" + long: "longer",
	} {
		problem := one(t, options(t, "redis: {password: '"+reference+"'}", "EMPTY=", "NEWLINE=\n"), "redis.password")
		contains(t, problem.String(), reference, why)
		if strings.Contains(problem.String(), "hunter2") {
			t.Errorf("the error tells the content: %s", problem)
		}
	}
}

func TestALiteralSecretIsAcceptedOnlyWhereOthersCannotReadIt(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"redis: {password: " + secret + "}",
		"redis: {url: 'redis://:" + secret + "@localhost'}",
		"gateway: {auth: {tokens: [{name: a, value: " + secret + "}]}}",
	} {
		opts := options(t, content)
		cfg := load(t, opts)
		if len(cfg.Warnings()) != 1 || strings.Contains(cfg.Warnings()[0], secret) {
			t.Errorf("warnings are %q, want one without the secret", cfg.Warnings())
		}
		if err := os.Chmod(opts.File, 0o644); err != nil {
			t.Fatal(err)
		}
		text := lines(problems(t, opts))
		contains(t, text, "others than its owner can read", "chmod 600", opts.File+":1")
		if strings.Contains(text, secret) {
			t.Errorf("the error tells the secret: %s", text)
		}
	}
	cfg := load(t, options(t, "", "SYSTOLE_REDIS__PASSWORD="+secret))
	if cfg.Redis.Password.Reveal() != secret || len(cfg.Warnings()) != 0 {
		t.Errorf("from the environment: warnings are %q", cfg.Warnings())
	}
}

func TestAShortTokenIsAWarning(t *testing.T) {
	t.Parallel()
	cfg := load(t, options(t, "", `SYSTOLE_GATEWAY__AUTH__TOKENS=[{"name":"a","value":"short"}]`))
	if len(cfg.Warnings()) != 1 {
		t.Fatalf("warnings are %q", cfg.Warnings())
	}
	contains(t, cfg.Warnings()[0], "gateway.auth.tokens[0].value", "SYSTOLE_GATEWAY__AUTH__TOKENS", "5 characters")
}

func TestNoErrorTellsASecretThatStandsNearIt(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]config.Options{
		"broken YAML":          options(t, "redis:\n  password: \""+secret+"\n"),
		"broken YAML after it": options(t, "redis:\n  password: "+secret+"\n :\n- [\n"),
		"an unknown alias":     options(t, "redis:\n  password: *"+secret+"\n"),
		"a tag":                options(t, "redis:\n  password: !!binary "+secret+"\n"),
		"a list of them":       options(t, "redis:\n  password: ["+secret+"]\n"),
		"a section":            options(t, "redis: "+secret+"\n"),
		"an unknown key":       options(t, "redis: {passwort: "+secret+"}\n"),
		"an unknown variable":  options(t, "", "SYSTOLE_REDIS__PASSWORT="+secret),
		"a bad URL":            options(t, "", "SYSTOLE_REDIS__URL=redis://:"+secret+"%zz@a"),
		"a URL of no scheme":   options(t, "", "SYSTOLE_REDIS__URL=user:"+secret+"@a:1"),
		"a URL's query":        options(t, "", "SYSTOLE_NATS__URL=nats://a?token="+secret),
		"a URL's other scheme": options(t, "", "SYSTOLE_NATS__URL=http://a?token="+secret),
		"URLs that differ":     options(t, "", "SYSTOLE_REDIS__URL=redis://a:"+secret+"@h,redis://b"),
		"a redacted one":       options(t, "redis: {password: '[redacted]'}"),
	} {
		if text := lines(problems(t, opts)); strings.Contains(text, secret) {
			t.Errorf("%s: the error tells the secret: %s", name, text)
		}
	}
}

func TestShowPrintsEveryValueWithItsSourceAndCanBeLoadedAgain(t *testing.T) {
	t.Parallel()
	opts := options(t, "worker:\n  groups: [a, b]\n  lease: 1h\ngateway: {allow: [10.0.0.0/8], max_body: 2KiB}\nlog: {format: json}\n", "SYSTOLE_METRICS__LISTEN=", "SYSTOLE_REDIS__URL=redis://a,redis://b")
	cfg := load(t, opts)
	var first, second bytes.Buffer
	if err := cfg.Show(&first); err != nil {
		t.Fatal(err)
	}
	contains(t, first.String(),
		"worker:\n  id: \"\" # default\n", `  groups: ["a","b"] # `+opts.File+":2\n", "  lease: 1h # "+opts.File+":3\n",
		"metrics:\n  listen: \"\" # environment SYSTOLE_METRICS__LISTEN\n", "  drain_timeout: 25s # default\n",
	)
	path := filepath.Join(t.TempDir(), "again.yaml")
	if err := os.WriteFile(path, first.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again := load(t, config.Options{File: path, Environ: func() []string { return nil }})
	if err := again.Show(&second); err != nil {
		t.Fatal(err)
	}
	if a, b := withoutSources(first.String()), withoutSources(second.String()); a != b {
		t.Errorf("shown again:\n%s\nwant\n%s", b, a)
	}
}

func withoutSources(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		value, _, _ := strings.Cut(line, " # ")
		kept = append(kept, value)
	}
	return strings.Join(kept, "\n")
}

func TestASecretOfAFileIsHadAsTheFileHoldsItNowAndElseAsItWas(t *testing.T) {
	t.Parallel()
	file := write(t, "password", "old\n")
	cfg := load(t, config.Options{Environ: func() []string {
		return []string{"SYSTOLE_NATS__USER=a", "SYSTOLE_NATS__PASSWORD_FILE=" + file, "SYSTOLE_REDIS__PASSWORD=literal"}
	}})
	if err := os.WriteFile(file, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if now, then := cfg.NATS.Password.Current(), cfg.NATS.Password.Reveal(); now != "new" || then != "old" {
		t.Errorf("it is %q now and was %q", now, then)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if now := cfg.NATS.Password.Current(); now != "old" {
		t.Errorf("without the file it is %q", now)
	}
	if now, none := cfg.Redis.Password.Current(), (config.Secret{}).Current(); now != "literal" || none != "" {
		t.Errorf("of no file it is %q, and none is %q", now, none)
	}
}
