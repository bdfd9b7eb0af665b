package config_test

import (
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/systole-run/systole/internal/config"
)

// R5.4
func TestWithoutAnySettingEveryRoleGetsDefaultsThatAreValid(t *testing.T) {
	t.Parallel()
	for _, role := range []config.Role{config.RoleGateway, config.RoleWorker, config.RoleConsole, config.RoleDev} {
		opts := options(t, "")
		opts.Roles = []config.Role{role}
		cfg := load(t, opts)
		want := config.Default()
		if cfg.Gateway.Listen != want.Gateway.Listen || !reflect.DeepEqual(cfg.Worker, want.Worker) || cfg.History != want.History {
			t.Errorf("%s: settings differ from the defaults", role)
		}
		if source := cfg.Source("gateway.listen").String(); source != "default" {
			t.Errorf("%s: source is %q, want default", role, source)
		}
	}
}

// R5.4
func TestEverySettingThatNeedsADefaultHasOne(t *testing.T) {
	t.Parallel()
	cfg := load(t, options(t, ""))
	for key, got := range map[string]string{
		"gateway": cfg.Gateway.Listen, "console": cfg.Console.Listen, "metrics": cfg.Metrics.Listen,
	} {
		if !strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("%s listens on %q, want loopback", key, got)
		}
	}
	if cfg.Log.Level != "info" || cfg.NATS.URL.String() != "nats://127.0.0.1:4222" || cfg.Redis.URL.String() != "redis://127.0.0.1:6379" {
		t.Errorf("defaults are %v %v %v", cfg.Log.Level, cfg.NATS.URL, cfg.Redis.URL)
	}
}

func TestEachLayerWinsOverTheOneBefore(t *testing.T) {
	t.Parallel()
	const file = "worker:\n  concurrency: 2\n  lease: 10s\n  batch: 3\n"
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Int("concurrency", 99, "")
	flags.Duration("worker.lease", 0, "")
	flags.Bool("verbose", false, "no setting")
	if err := flags.Parse([]string{"--concurrency=4", "--verbose"}); err != nil {
		t.Fatal(err)
	}
	opts := options(t, file, "SYSTOLE_WORKER__CONCURRENCY=3", "SYSTOLE_WORKER__LEASE=20s")
	opts.Flags, opts.FlagKeys = flags, map[string]string{"concurrency": "worker.concurrency"}
	cfg := load(t, opts)

	if cfg.Worker.Concurrency != 4 || cfg.Worker.Lease != 20*time.Second || cfg.Worker.Batch != 3 || cfg.Worker.DrainTimeout != 25*time.Second {
		t.Errorf("worker is %+v", cfg.Worker)
	}
	for key, want := range map[string]string{
		"worker.concurrency": "flag --concurrency", "worker.lease": "environment SYSTOLE_WORKER__LEASE",
		"worker.batch": opts.File + ":4", "worker.drain_timeout": "default",
	} {
		if got := cfg.Source(key).String(); got != want {
			t.Errorf("source of %s is %q, want %q", key, got, want)
		}
	}
}

// R5.2
func TestListsComeFromYAMLFromCommasAndFromJSON(t *testing.T) {
	t.Parallel()
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")}
	for name, opts := range map[string]config.Options{
		"YAML":   options(t, "gateway: {allow: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32']}"),
		"commas": options(t, "", "SYSTOLE_GATEWAY__ALLOW=10.0.0.0/8, 192.0.2.7,2001:db8::/32"),
		"JSON":   options(t, "", `SYSTOLE_GATEWAY__ALLOW=["10.0.0.0/8","192.0.2.7","2001:db8::/32"]`),
	} {
		if got := load(t, opts).Gateway.Allow; !slices.Equal(got, want) {
			t.Errorf("%s: allow is %v, want %v", name, got, want)
		}
	}
}

func TestRedisURLIsOneTextACommaListOrAYAMLList(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file string
		want []string
	}{
		{"redis: {url: 'redis://a:1/2'}", []string{"redis://a:1/2"}},
		{"redis: {url: 'redis://a:1, redis://b:2'}", []string{"redis://a:1", "redis://b:2"}},
		{"redis: {url: ['redis://a:1', 'redis://b:2'], master: main}", []string{"redis://a:1", "redis://b:2"}},
	} {
		if got := load(t, options(t, test.file)).Redis.URL.Reveal(); !slices.Equal(got, test.want) {
			t.Errorf("%s: url is %q, want %q", test.file, got, test.want)
		}
	}
}

// R5.5
func TestAllErrorsComeAtOnceEachWithKeySourceFoundAndAllowed(t *testing.T) {
	t.Parallel()
	opts := options(t, `log: {level: loud}
worker:
  lease: 5
  concurency: 3
redis: fast
gateway:
  allow: [10.0.0.1/8]
  path: beat
`, "SYSTOLE_NATS__REPLICAS=many", "SYSTOLE_GATEWAY_LISTEN=:80", "SYSTOLE_WORKER__BATCH=101")
	found := problems(t, opts)
	want := []string{
		"gateway.allow", "gateway.path", "gateway_listen", "log.level", "nats.replicas", "redis", "worker.batch",
		"worker.concurency", "worker.lease",
	}
	if got := keysOf(found); !slices.Equal(got, want) {
		t.Fatalf("keys are %q\nwant     %q\n%s", got, want, lines(found))
	}
	for _, p := range found {
		if p.Source == (config.Source{}) || p.Found == "" || p.Allowed == "" {
			t.Errorf("problem is not complete: %+v", p)
		}
	}
	text := lines(found)
	contains(t, text,
		`log.level (`+opts.File+`:1): found "loud", allowed is debug, info, warn or error`,
		`worker.lease (`+opts.File+`:3): found 5, allowed is a duration such as 90s`,
		`worker.concurency (`+opts.File+`:4): found an unknown key, allowed is worker.concurrency?`,
		`redis (`+opts.File+`:5): found text, allowed is a mapping`,
		`nats.replicas (environment SYSTOLE_NATS__REPLICAS): found "many"`,
		`(environment SYSTOLE_GATEWAY_LISTEN): found an unknown variable, allowed is SYSTOLE_GATEWAY__LISTEN?`,
		`worker.batch (environment SYSTOLE_WORKER__BATCH): found 101, allowed is 1 to 100`,
		`host bits set, allowed is 10.0.0.0/8`,
	)
}

func TestAFailedLoadGivesNoConfigSoThatTheOldOneStands(t *testing.T) {
	t.Parallel()
	opts := options(t, "worker: {batch: 5}")
	old := load(t, opts)
	if err := os.WriteFile(opts.File, []byte("worker: {batch: 0}"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := config.Load(opts)
	if err == nil || !reflect.DeepEqual(next, config.Config{}) || old.Worker.Batch != 5 {
		t.Errorf("Load gave %v and %+v", err, next.Worker)
	}
}

func TestVariablesThatAreNoSettingsAreLeftAlone(t *testing.T) {
	t.Parallel()
	load(t, options(t, "",
		"SYSTOLE_SERVER=x", "SYSTOLE_API_TOKEN=x", "SYSTOLE_CONFIG=x", // of the client
		"SYSTOLE_FLOW=x", "SYSTOLE_WORKER=x", "SYSTOLE_TOKEN=1", "SYSTOLE_CURSOR_OUT=x", // of a run
		"SYSTOLE_SERVICE_HOST=10.0.0.1", "SYSTOLE_GATEWAY_PORT=tcp://10.0.0.1:80", // of Kubernetes
		"SYSTOLE_GATEWAY_PORT_80_TCP_ADDR=10.0.0.1", "SYSTOLE_CONSOLE_SERVICE_PORT_HTTP=80", "PATH=/bin", "junk",
	))
}

func TestAnEmptySectionOrValueLeavesTheDefaults(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"worker:\n", "worker:\n  lease:\n", "# nothing\n", "---\n", "worker: {}\n"} {
		if got := load(t, options(t, file)).Worker.Lease; got != 30*time.Second {
			t.Errorf("%q: lease is %s", file, got)
		}
	}
}

func TestAByteOrderMarkBeforeTheSettingsIsNoKey(t *testing.T) {
	t.Parallel()
	if got := load(t, options(t, "\xef\xbb\xbfworker:\r\n  concurrency: 3\r\n")).Worker.Concurrency; got != 3 {
		t.Errorf("the concurrency is %d, want 3", got)
	}
}

func TestDevSaysWhichSettingsItDoesNotLookAt(t *testing.T) {
	t.Parallel()
	opts := options(t, "console: {auth: {mode: none}, listen: '127.0.0.1:1'}\nredis: {url: 'redis://h'}\nworker: {concurrency: 3}\n", "SYSTOLE_NATS__URL=nats://h")
	if notes := load(t, opts).Warnings(); len(notes) != 0 {
		t.Errorf("for all roles the warnings are %q, want none", notes)
	}
	opts.Roles = []config.Role{config.RoleDev}
	notes := load(t, opts).Warnings()
	if len(notes) != 3 {
		t.Fatalf("the warnings are %q, want one of each section", notes)
	}
	for i, want := range []string{"nats.url (environment SYSTOLE_NATS__URL): dev does not look at nats", "redis.url (", "console.listen ("} {
		contains(t, notes[i], want)
	}
}

func TestAFileThatCannotBeReadAsSettingsIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, want string }{
		"no YAML":           {"log: [\n", "not valid YAML"},
		"a list":            {"- a\n", "a mapping of keys"},
		"two documents":     {"log: {}\n---\nlog: {}\n", "one document"},
		"a doubled key":     {"log: {level: info}\nlog: {level: warn}\n", "YAML"},
		"a doubled leaf":    {"log:\n  level: info\n  level: warn\n", ""},
		"an alias":          {"log: &a {level: info}\nworker: *a\n", "an anchor or alias"},
		"a later feature":   {"executor: {pipeline: {dir: /}}\n", "not in this version"},
		"a number as a key": {"1: 2\n", "plain keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contains(t, lines(problems(t, options(t, test.file))), test.want)
		})
	}
}

// The limit of the memory is what a fault would run into; a file that is as long as it may be takes little.
func TestAFileThatNestsWithoutEndIsRefusedBeforeItIsParsed(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"log:\n  level: " + strings.Repeat("[", 2000), "log:\n  level: " + strings.Repeat("{a: ", 2000),
		"log:\n  " + strings.Repeat("- ", 2000) + "x", "log:\n  " + strings.Repeat("? ", 2000) + "x",
	} {
		file := write(t, "systole.yaml", content)
		_, err := config.Load(config.Options{File: file, Environ: func() []string { return nil }})
		if err == nil || !strings.Contains(err.Error(), file+":2: found lists or mappings more than 64 deep in one line") {
			t.Errorf("%.20q…: %v", content, err)
		}
	}
}

func TestAFileThatIsNotThereIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	found := problems(t, config.Options{File: "/nowhere/systole.yaml", Environ: func() []string { return nil }})
	contains(t, lines(found), "/nowhere/systole.yaml: found a file that cannot be read (no such file or directory)")
}

func TestAFlagThatIsMappedToNoSettingIsAnError(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("listen", "", "")
	if err := flags.Parse([]string{"--listen=:1"}); err != nil {
		t.Fatal(err)
	}
	opts := options(t, "")
	opts.Flags, opts.FlagKeys = flags, map[string]string{"listen": "gateway.lsten"}
	contains(t, one(t, opts, "gateway.lsten").String(), "flag --listen", "gateway.listen?")
}

func TestAListFlagSetsAList(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.StringSlice("groups", nil, "")
	if err := flags.Parse([]string{"--groups=a,b", "--groups=c"}); err != nil {
		t.Fatal(err)
	}
	opts := options(t, "")
	opts.Flags, opts.FlagKeys = flags, map[string]string{"groups": "worker.groups"}
	if got := load(t, opts).Worker.Groups; !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("groups are %q", got)
	}
}

func TestChangedTellsWhatTakesARestart(t *testing.T) {
	t.Parallel()
	before := load(t, options(t, ""))
	after := load(t, options(t, "", "SYSTOLE_LOG__LEVELS__STORE=debug", "SYSTOLE_GATEWAY__ALLOW=10.0.0.0/8", "SYSTOLE_WORKER__BATCH=7", "SYSTOLE_REDIS__URL=redis://b"))
	atOnce, onRestart := before.Changed(after)
	if !slices.Equal(atOnce, []string{"log.levels.store", "gateway.allow"}) || !slices.Equal(onRestart, []string{"redis.url", "worker.batch"}) {
		t.Errorf("at once %q, on restart %q", atOnce, onRestart)
	}
}
