package config_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/config"
)

// R5.5
func TestEveryRuleRefusesWhatIsOutsideOfIt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ key, value, allowed string }{
		{"log.format", "xml", "text or json"},
		{"log.levels.store", "loud", "debug, info, warn or error"},
		{"nats.url", "http://a", "nats://"},
		{"nats.url", "nats://", "with a host"},
		{"nats.url", "nats://a:0", "1 to 65535"},
		{"nats.url", "nats://a:4222?x=1", "without parameters"},
		{"nats.url", ",", "one address"},
		{"nats.prefix", "a.*", "tokens joined by dots"},
		{"nats.inbox_prefix", "_INBOX.>", "tokens joined by dots"},
		{"nats.make_streams", "perhaps", "true or false"},
		{"nats.beat_ttl", "1ms", "1s"},
		{"nats.duplicate_window", "25h", "24h"},
		{"nats.ack_timeout", "0", "10ms"},
		{"nats.ack_timeout", "11s", "10ms to 10s"}, // a gateway that is still waiting could not answer 503 any more
		{"nats.replicas", "6", "1 to 5"},
		{"nats.event_ttl", "1s", "1m"},
		{"nats.event_bytes", "1KiB", "1MiB to 1024GiB"},
		{"nats.event_messages", "99", "100 to"},
		{"nats.dead_ttl", "0", "1m"},
		{"nats.dead_messages", "0", "100 to"},
		{"nats.creds_file", "/nowhere", "a file that can be read"},
		{"nats.tls.ca_file", "/nowhere", "a file that can be read"},
		{"redis.url", "", "one or several addresses"},
		{"redis.url", "redis://a/x", "a number"},
		{"redis.url", "redis://a,rediss://b", "the same for all"},
		{"redis.url", "redis://a/1,redis://b/1", "database 0"},
		{"redis.prefix", "a{b}", "letters, digits"},
		{"redis.partitions", "0", "1 to 1024"},
		{"redis.pool_size", "-1", "0 to 10000"},
		{"gateway.listen", "8080", "host:port"},
		{"gateway.listen", "127.0.0.1:http", "host:port"},
		{"gateway.path", "/", "a path such as"},
		{"gateway.path", "/a/../b", "a path such as"},
		{"gateway.run_path", "/heartbeat/run", "neither holds"},
		{"gateway.callback_path", "/run/back", "neither holds gateway.run_path"},
		{"gateway.callback_path", "callback", "a path such as"},
		{"callback.key", "too short", "32 or more"},
		{"gateway.rate", "-1", "0 to"},
		{"gateway.rate", "NaN", "a number"},
		{"gateway.burst", "0", "1 to"},
		{"gateway.max_body", "1MiB", "1 to 4KiB"},
		{"gateway.max_body", "lots", "64KiB"},
		{"gateway.max_wait", "2h", "1h"},
		{"gateway.allow", "10.0.0.0/33", "networks or addresses"},
		{"gateway.trusted_proxies", "proxy", "networks or addresses"},
		{"console.listen", "", "host:port"},
		{"worker.id", "a b", "letters, digits"},
		{"worker.groups", "A", "a-z"},
		{"worker.concurrency", "1.5", "a whole number"},
		{"worker.lease", "900ms", "1s to 1h"},
		{"worker.drain_timeout", "48h", "24h"},
		{"worker.batch", "0", "1 to 100"},
		{"executor.exec.dir", "/nowhere", "a folder that exists"},
		{"executor.exec.temp_dir", "/dev/null", "a folder that exists"},
		{"executor.exec.kill_grace", "0s", "1ms"},
		{"executor.exec.sandbox", "loose", "standard"},
		{"executor.exec.min_sandbox", "loose", "standard"},
		{"executor.exec.min_sandbox", "strict", "executor.exec.sandbox"},
		{"executor.exec.folders", "/nowhere", "a folder that exists"},
		{"executor.exec.folders", "bin", "absolute"},
		{"executor.exec.user", "nobody", "UID:GID"},
		{"executor.exec.user", "1:4294967295", "UID:GID"},
		{"executor.exec.limits.cpu", "-1s", "0s to"},
		{"executor.exec.limits.memory", "-1", "16MiB"},
		{"executor.exec.limits.processes", "200000", "0 to 100000"},
		{"executor.exec.limits.open_files", "3", "8 and more"},
		{"executor.exec.max.timeout", "200h", "168h"},
		{"executor.exec.max.open_files", "-1", "0 to"},
		{"executor.exec.max.folder", "much", "64KiB"},
		{"executor.function.reuse", "0", "1 to"},
		{"executor.function.idle", "-1", "0 to"},
		{"executor.http.connect_timeout", "soon", "a duration"},
		{"executor.http.max_conns_per_host", "0", "1 to"},
		{"executor.http.allow", "localhost", "networks or addresses"},
		{"executor.http.rate", "-1", "0 to"},
		{"executor.http.burst", "0", "1 to"},
		{"executor.http.breaker_failures", "-1", "0 to"},
		{"executor.http.breaker_pause", "0s", "1ms"},
		{"executor.wasm.dir", "/nowhere", "a folder that exists"},
		{"executor.wasm.folders", "data", "absolute paths"},
		{"executor.wasm.memory", "8GiB", "64KiB to 4GiB"},
		{"executor.wasm.output", "0", "1KiB to"},
		{"executor.wasm.max_module", "2GiB", "1KiB to 1GiB"},
		{"executor.secrets.dir", "/nowhere", "a folder that exists"},
		{"executor.secrets.allow", "default/orders", "billing/*"},
		{"history.runs_per_flow", "0", "1 to"},
		{"history.dead_letters", "0", "1 to"},
		{"history.run_ttl", "1s", "1m"},
		{"history.log_bytes", "1", "1KiB to 16MiB"},
		{"history.beats", "0", "1 to"},
		{"metrics.listen", "9090", "turns it off"},
		{"tracing.endpoint", "grpc://a", "http://"},
		{"tracing.endpoint", "http://a,http://b", "one"},
		{"tracing.endpoint", "http://u@a", "without one"},
		{"tracing.sample", "1.1", "0 to 1"},
	} {
		t.Run(test.key+"="+test.value, func(t *testing.T) {
			t.Parallel()
			variable := "SYSTOLE_" + strings.ToUpper(strings.ReplaceAll(test.key, ".", "__"))
			problem := one(t, options(t, "", variable+"="+test.value), test.key)
			contains(t, problem.String(), "environment "+variable, test.allowed)
		})
	}
}

func TestSettingsThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, key string }{
		"a NATS user without password": {"nats: {user: a}", "nats.password"},
		"a NATS password without user": {"nats: {password: 'env:P'}", "nats.user"},
		"two ways to log in to NATS":   {"nats: {url: 'nats://a@b', user: a, password: 'env:P'}", "nats.url"},
		"creds beside a user":          {"nats: {creds_file: /dev/null, user: a, password: 'env:P'}", "nats.creds_file"},
		"a password twice":             {"redis: {password: 'env:P', password_file: /p}", "redis.password"},
		"a Redis user, no password":    {"redis: {username: a}", "redis.password"},
		"a certificate without key":    {"redis: {url: 'rediss://a', tls: {cert_file: /dev/null}}", "redis.tls.key_file"},
		"TLS settings, plain URL":      {"redis: {url: 'redis://a', tls: {server_name: a}}", "redis.url"},
		"a CA file without any":        {"nats: {tls: {ca_file: /dev/null}}", "nats.tls.ca_file"},
		"a callback URL without a key": {"callback: {url: 'https://a'}", "callback.key"},
		"a callback URL that is none":  {"callback: {url: a, key: 'env:K'}", "callback.url"},
		"a callback URL with a query":  {"callback: {url: 'https://a?b', key: 'env:K'}", "callback.url"},
		"a gateway certificate, empty": {"gateway: {tls: {cert_file: /dev/null, key_file: /dev/null}}", "gateway.tls.cert_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one(t, options(t, test.file, "P=pa55", "K="+strings.Repeat("k", 32)), test.key)
		})
	}
}

// R5.1
func TestWhoMayCallIsDecidedByModeTokensAndAddress(t *testing.T) {
	t.Parallel()
	const token = "[{name: cron, value: 'env:T'}]"
	for _, test := range []struct{ listen, mode, tokens, want string }{
		{"127.0.0.1:0", "", "[]", "none"},
		{"localhost:0", "", "[]", "none"},
		{"[::1]:0", "", "[]", "none"},
		{"127.0.0.1:0", "", token, "token"},
		{":8080", "", token, "token"},
		{":8080", "token", token, "token"},
		{":8080", "none", "[]", "none"},
		{":8080", "", "[]", "error gateway.auth.mode"},
		{"0.0.0.0:1", "", "[]", "error gateway.auth.mode"},
		{"[::]:1", "", "[]", "error gateway.auth.mode"},
		{"example.org:1", "", "[]", "error gateway.auth.mode"},
		{"127.0.0.1:0", "token", "[]", "error gateway.auth.tokens"},
		{"127.0.0.1:0", "none", token, "error gateway.auth.mode"},
		{"127.0.0.1:0", "none,token", token, "error gateway.auth.mode"},
		{"127.0.0.1:0", "oidc", "[]", "error gateway.auth.oidc.subjects"},
		{"127.0.0.1:0", "token,hmac", token, "error gateway.auth.hmac.keys"},
		{"127.0.0.1:0", "token,token", token, "error gateway.auth.mode"},
		{"127.0.0.1:0", "hmac", token, "error gateway.auth.hmac.keys gateway.auth.mode"},
		{"127.0.0.1:0", "basic", token, "error gateway.auth.mode"},
	} {
		t.Run(test.listen+" "+test.mode+" "+test.tokens, func(t *testing.T) {
			t.Parallel()
			opts := options(t, "gateway: {listen: '"+test.listen+"', auth: {mode: '"+test.mode+"', tokens: "+test.tokens+"}}", "T=0123456789abcdef")
			if key, refused := strings.CutPrefix(test.want, "error "); refused {
				if got := keysOf(problems(t, opts)); !slices.Equal(got, strings.Fields(key)) {
					t.Errorf("problems are with %q, want %q", got, key)
				}
				return
			}
			if auth := load(t, opts).Gateway.Auth; auth.Mode != test.want || auth.Open() != (test.want == "none") {
				t.Errorf("mode is %q, want %q", auth.Mode, test.want)
			}
		})
	}
}

// R5.1
func TestTheConsoleRefusesToBeOpenBeyondLoopback(t *testing.T) {
	t.Parallel()
	problem := one(t, options(t, "console: {listen: ':8081'}"), "console.auth.mode")
	contains(t, problem.String(), `":8081", which other machines can reach`, "none, which lets everybody in")
}

// R5.1
func TestTokensAreReadFromYAMLAndFromJSONInTheEnvironment(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	file := write(t, "token", "from-a-file-12345678\n")
	for name, opts := range map[string]config.Options{
		"YAML": options(t, "gateway:\n  auth:\n    tokens:\n      - {name: a, value: 'env:T', scopes: [beat, run], groups: [g]}\n      - {name: b, value_file: "+file+"}\n      - {name: c, sha256: "+sum+"}\n", "T=0123456789abcdef"),
		"JSON": options(t, "", `SYSTOLE_GATEWAY__AUTH__TOKENS=[{"name":"a","value":"env:T","scopes":["beat","run"],"groups":["g"]},{"name":"b","value_file":"`+file+`"},{"name":"c","sha256":"`+sum+`"}]`, "T=0123456789abcdef"),
	} {
		tokens := load(t, opts).Gateway.Auth.Tokens
		if len(tokens) != 3 || tokens[0].Value.Reveal() != "0123456789abcdef" || tokens[1].Value.Reveal() != "from-a-file-12345678" || tokens[2].SHA256.Reveal() != sum {
			t.Fatalf("%s: tokens are %v", name, tokens)
		}
		if !slices.Equal(tokens[0].Scopes, []string{"beat", "run"}) || !slices.Equal(tokens[0].Groups, []string{"g"}) {
			t.Errorf("%s: first token is %v", name, tokens[0])
		}
	}
}

func TestAWrongTokenIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	const key = "gateway.auth.tokens"
	for name, test := range map[string]struct{ tokens, key, allowed string }{
		"no list":          {`"secret-text"`, key, "a list of"},
		"no mapping":       {`["secret-text"]`, key + "[0]", "name, value"},
		"broken JSON":      {`[{"name": secret-text}]`, key, "a list of"},
		"a doubled key":    {`[{"name":"a","name":"secret-text"}]`, key, "a list of"},
		"no name":          {`[{"value":"secret-text"}]`, key + "[0].name", "letters, digits"},
		"an unknown key":   {`[{"name":"a","value":"secret-text","scope":["beat"]}]`, key + "[0].scope", "scopes"},
		"no value":         {`[{"name":"a"}]`, key + "[0].value", "one of value"},
		"value and sum":    {`[{"name":"a","value":"secret-text","sha256":"` + strings.Repeat("0", 64) + `"}]`, key + "[0].value", "one of value"},
		"value and file":   {`[{"name":"a","value":"secret-text","value_file":"/x"}]`, key + "[0].value", "one of them"},
		"a short sum":      {`[{"name":"a","sha256":"secret-text"}]`, key + "[0].sha256", "64 hex"},
		"an unknown scope": {`[{"name":"a","value":"secret-text","scopes":["all"]}]`, key + "[0].scopes", "beat, run, read, write"},
		"a bad group":      {`[{"name":"a","value":"secret-text","groups":["*"]}]`, key + "[0].groups", "a-z"},
		"a number":         {`[{"name":"a","value":12345678}]`, key + "[0].value", "env:NAME"},
		"a blank inside":   {`[{"name":"a","value":"secret text"}]`, key + "[0].value", "visible ASCII"},
		"a name twice":     {`[{"name":"a","value":"secret-text"},{"name":"a","value":"other"}]`, key + "[1].name", "one of its own"},
		"a value twice":    {`[{"name":"a","value":"secret-text"},{"name":"b","value":"secret-text"}]`, key + "[1].value", "one of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := problems(t, options(t, "", "SYSTOLE_GATEWAY__AUTH__TOKENS="+test.tokens))
			if !slices.Contains(keysOf(found), test.key) {
				t.Fatalf("problems are\n%s\nwant one with %s", lines(found), test.key)
			}
			contains(t, lines(found), test.allowed)
			if text := lines(found); strings.Contains(text, "secret") || strings.Contains(text, "12345678") {
				t.Errorf("the error tells the secret: %s", text)
			}
		})
	}
}

// R5.3
func TestEachComponentCanHaveALevelOfItsOwn(t *testing.T) {
	t.Parallel()
	cfg := load(t, options(t, "log: {level: warn, levels: {store: debug}}", "SYSTOLE_LOG__LEVELS__WORKER=error"))
	own := cfg.Log.Levels.ByComponent()
	if cfg.Log.Level.Slog() != slog.LevelWarn || len(own) != 2 || own["store"] != slog.LevelDebug || own["worker"] != slog.LevelError {
		t.Errorf("levels are %v and %v", cfg.Log.Level, own)
	}
}

func TestAGatewayAsksForNothingOfRedis(t *testing.T) {
	t.Parallel()
	opts := options(t, "redis: {url: 'env:REDIS_URL', password_file: /nowhere, tls: {ca_file: /nowhere}}\nexecutor: {exec: {dir: /nowhere}}")
	opts.Roles = []config.Role{config.RoleGateway}
	load(t, opts)
	opts.Roles = []config.Role{config.RoleWorker}
	want := []string{"executor.exec.dir", "redis.password", "redis.tls.ca_file", "redis.url"}
	if got := keysOf(problems(t, opts)); !slices.Equal(got, want) {
		t.Errorf("a worker's problems are with %q, want %q", got, want)
	}
}

func TestAWorkerAsksForNoTokenOfTheGateway(t *testing.T) {
	t.Parallel()
	opts := options(t, "gateway: {listen: ':8080', auth: {tokens: [{name: a, value_file: /nowhere}]}}")
	opts.Roles = []config.Role{config.RoleWorker}
	load(t, opts)
	opts.Roles = []config.Role{config.RoleGateway}
	one(t, opts, "gateway.auth.tokens[0].value")
}
