// Package deploy_test checks the deployment files without an engine; deploy/test brings them up on one.
package deploy_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/internal/testenv"
)

type composeFile struct {
	Services map[string]struct {
		Image       string
		Ports       []string
		Networks    []string
		CapDrop     []string `yaml:"cap_drop"`
		CapAdd      []string `yaml:"cap_add"`
		SecurityOpt []string `yaml:"security_opt"`
		ReadOnly    bool     `yaml:"read_only"`
		Privileged  bool
		Restart     string
		MemLimit    string `yaml:"mem_limit"`
		Entrypoint  any
		Command     any
		Environment map[string]any
	}
	Networks map[string]struct{ Internal bool }
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	data, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile // the keys beside a merge key (<<) override the merged ones, which the parser counts as doubled
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) < 7 {
		t.Fatalf("found %d services, want at least 7", len(file.Services))
	}
	return file
}

// R6.2 R6.7
func TestComposeServicesHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	t.Parallel()
	for name, service := range readCompose(t).Services {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !slices.Equal(service.CapDrop, []string{"ALL"}) || !service.ReadOnly || service.Privileged ||
				!slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
				t.Errorf("is not hardened: %+v", service)
			}
			if len(service.CapAdd) > 0 && name != "scheduler" {
				t.Errorf("has capabilities %v, want none", service.CapAdd)
			}
			if want := map[bool]string{true: "no", false: "unless-stopped"}[name == "apply"]; service.Restart != want {
				t.Errorf("restart is %q, want %q", service.Restart, want)
			}
			if !strings.HasPrefix(service.Image, "${") {
				t.Errorf("image %q is no variable", service.Image)
			}
		})
	}
}

// Redis says that it is full, at 60 % of its memory, before it is killed for what it takes.
func TestComposeHasRedisFullBeforeItsContainerIs(t *testing.T) {
	t.Parallel()
	redis := readCompose(t).Services["redis"]
	number := func(pattern, text string) string {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
			return found[1]
		}
		return ""
	}
	most, has := number(`--maxmemory \$\{REDIS_MAXMEMORY:-(\d+mb)\}`, fmt.Sprint(redis.Entrypoint)), number(`^\$\{REDIS_MEMORY:-(\d+g)\}$`, redis.MemLimit)
	if most != "600mb" || has != "1g" {
		t.Errorf("maxmemory is %q and the limit %q, want 600mb of 1g: change them together", most, has)
	}
}

func TestComposePublishesNothingBeyondLoopbackUnlessTold(t *testing.T) {
	t.Parallel()
	published := regexp.MustCompile(`^\$\{[A-Z_]+:-127\.0\.0\.1:\d+\}:\d+$`)
	for name, service := range readCompose(t).Services {
		for _, port := range service.Ports {
			if !published.MatchString(port) {
				t.Errorf("%s publishes %s, want ${VARIABLE:-127.0.0.1:port}:port", name, port)
			}
		}
	}
}

func TestComposeKeepsRedisAndNATSWhereOnlySystoleIs(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	for name, allowed := range map[string][]string{
		"redis": {"console", "redis", "worker"}, "nats": {"console", "gateway", "nats", "worker"},
	} {
		service := file.Services[name]
		if len(service.Networks) != 1 || !file.Networks[service.Networks[0]].Internal || len(service.Ports) > 0 {
			t.Fatalf("%s is on %v and publishes %v, want one internal network and nothing", name, service.Networks, service.Ports)
		}
		var beside []string
		for other, s := range file.Services {
			if slices.Contains(s.Networks, service.Networks[0]) {
				beside = append(beside, other)
			}
		}
		slices.Sort(beside)
		if !slices.Equal(beside, allowed) {
			t.Errorf("%s can be reached by %v, want %v", name, beside, allowed)
		}
	}
}

func TestComposeHasNoPasswordButInFiles(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`PASSWORD|TOKEN|SECRET|_KEY`)
	argument := regexp.MustCompile(`://[^/@ ]*:[^/@ ]+@|--?(pass|requirepass|user=|auth|a )`)
	for name, service := range readCompose(t).Services {
		for variable, value := range service.Environment {
			if secret.MatchString(variable) && !strings.HasSuffix(variable, "_FILE") {
				t.Errorf("%s has %s in its environment, want the name of a file", name, variable)
			}
			if found := argument.FindString(fmt.Sprint(value)); found != "" {
				t.Errorf("%s has %s=%v, which holds %q", name, variable, value, found)
			}
		}
		if found := argument.FindString(fmt.Sprint(service.Entrypoint, service.Command)); found != "" {
			t.Errorf("%s is started with %q", name, found)
		}
	}
}

func TestFlowsThatComeAlongAreValid(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"flows", "../examples/flows"} {
		flows, err := manifest.ReadPaths(nil, folder)
		if err != nil || len(flows) == 0 {
			t.Errorf("%s has %d flows, error %v", folder, len(flows), err)
		}
	}
}

// An engine that is told to mount a file that is not there makes a folder of that name.
func TestSecretsTakeThePlaceOfFoldersThatAnEngineMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"nats_passwords.conf", "redis_users.acl", "api_token"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("./secrets.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"nats_passwords.conf", "redis_users.acl", "api_token"} {
		if file, err := os.Stat(filepath.Join(dir, name)); err != nil || !file.Mode().IsRegular() || file.Size() == 0 {
			t.Errorf("%s: got %v and %v, want a file", name, file, err)
		}
	}
}

func TestSecretsAreRandomAndStayWhenTheyAreThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	makeSecrets := func() map[string]string {
		if out, err := exec.Command("./secrets.sh", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		made := map[string]string{}
		for _, name := range []string{"heartbeat_token", "api_token", "nats_gateway_password", "redis_worker_password"} {
			secret, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			made[name] = string(secret)
		}
		return made
	}
	first := makeSecrets()
	for name, secret := range first {
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(secret) {
			t.Errorf("%s is not 64 hexadecimal digits, but %d characters", name, len(secret))
		}
	}
	if distinct := slices.Compact(slices.Sorted(maps.Values(first))); len(distinct) != len(first) {
		t.Error("two secrets are the same")
	}
	if err := os.Remove(filepath.Join(dir, "api_token")); err != nil {
		t.Fatal(err)
	}
	second := makeSecrets()
	if second["heartbeat_token"] != first["heartbeat_token"] || second["api_token"] == first["api_token"] {
		t.Error("the secret that was there did not stay, or the one that was not is the old one")
	}
	for file, want := range map[string]struct{ has, hasNot string }{
		"nats_passwords.conf": {has: second["nats_gateway_password"]}, "redis_users.acl": {hasNot: second["redis_worker_password"]},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(text), want.has) || want.hasNot != "" && strings.Contains(string(text), want.hasNot) || strings.Contains(string(text), "@redis") {
			t.Errorf("%s has not the passwords that it should, or has those that it should not (%v)", file, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder is %v, error %v, want 0700", info.Mode(), err)
	}
}

// An editor ends a file with a line's end, which is no part of what Systole logs in with.
func TestSecretsOfOnesOwnAreThoseThatSystoleReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const own = "k3+/Yz~own=password"
	for _, name := range []string{"redis_worker_password", "redis_sentinel_password", "nats_worker_password"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(own+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("./secrets.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for file, want := range map[string]string{
		"redis_users.acl": fmt.Sprintf("user worker on #%x ", sha256.Sum256([]byte(own))), "redis_sentinel.conf": "sentinel auth-pass main " + own + "\n",
		"nats_passwords.conf": `nats_worker: "` + own + `"`,
	} {
		if text := readAll(t, filepath.Join(dir, file)); !strings.Contains(text, want) {
			t.Errorf("%s does not say %q:\n%s", file, want, text)
		}
	}
}

// What is in a file of NATS or Redis must not mean anything there; and nobody is let in without a password where the program
// that makes them is not there.
func TestSecretsThatWouldBreakTheirFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"a quote": `a"b`, "two words": "a b", "an ampersand": "a&b", "two lines": "a\nb", "a line's end alone": "\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "nats_worker_password"), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		refusesSecrets(t, name, exec.Command("./secrets.sh", dir), dir)
	}
	dir, path := t.TempDir(), t.TempDir()
	for _, program := range []string{"sh", "dirname", "mkdir", "chmod", "cat", "mv", "tr"} { // and not od
		at, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(at, filepath.Join(path, program)); err != nil {
			t.Fatal(err)
		}
	}
	without := exec.Command("./secrets.sh", dir)
	without.Env = []string{"PATH=" + path}
	refusesSecrets(t, "no od", without, dir)
}

func refusesSecrets(t *testing.T, name string, cmd *exec.Cmd, dir string) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "error: "+dir) {
		t.Errorf("%s: got %v, want an error:\n%s", name, err, out)
	}
	if made, _ := filepath.Glob(filepath.Join(dir, "*.conf")); len(made) > 0 {
		t.Errorf("%s: made %v", name, made)
	}
}

// Containers read what is mounted into them with the owner and mode that it has outside.
func TestCertificatesAreReadWhereTheyAreMountedAndTheCAsKeyNowhere(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	overlay := readAll(t, "compose.tls.yml")
	mounted := map[string]bool{}
	for _, file := range regexp.MustCompile(`\$\{CERTS_DIR:-\./deploy/certs\}/([a-z.]+):`).FindAllStringSubmatch(overlay, -1) {
		mounted[file[1]] = true
		if info, err := os.Stat(d.Cert(t, file[1])); err != nil || info.Mode().Perm() != 0o444 {
			t.Errorf("%s: got %v and %v, want a file with mode 0444", file[1], info, err)
		}
	}
	if len(mounted) != 10 || mounted["ca.key"] {
		t.Errorf("mounts %v", mounted)
	}
	for path, want := range map[string]os.FileMode{d.Cert(t, "ca.key"): 0o600, filepath.Dir(d.Cert(t, "ca.key")): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v and %v, want mode %v", path, info, err, want)
		}
	}
}
