package testenv

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
)

// Deployment is what somebody has who copied the configuration of deploy/nats and deploy/redis to their servers, each with
// passwords of its own that deploy/secrets.sh made. The files are copied as they are: what tests need to be different, such
// as ports, they say as an operator would on the command line.
type Deployment struct {
	secrets string // folder of deploy/secrets.sh
}

// Deploy makes the passwords, once for all tests of a process.
func Deploy(t testing.TB) *Deployment {
	t.Helper()
	d, err := deployed()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var deployed = sync.OnceValues(func() (*Deployment, error) {
	dir, err := os.MkdirTemp("", "systole-secrets-")
	if err != nil {
		return nil, err
	}
	script, err := deployPath("secrets.sh")
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command(script, dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return &Deployment{secrets: dir}, nil
})

// deployPath gives the path of a file in the folder deploy of the module whose test this is.
func deployPath(elements ...string) (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return filepath.Join(append([]string{dir, "deploy"}, elements...)...), nil
		}
		if filepath.Dir(dir) == dir {
			return "", fmt.Errorf("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// SecretFile is where a secret lies, such as nats_worker_password.
func (d *Deployment) SecretFile(name string) string { return filepath.Join(d.secrets, name) }

func (d *Deployment) secret(name string) (string, error) {
	text, err := os.ReadFile(d.SecretFile(name))
	return string(text), err
}

// Settings gives a role what it logs in with.
func (d *Deployment) Settings(role string) []string {
	settings := []string{
		"SYSTOLE_NATS__USER=" + role, "SYSTOLE_NATS__PASSWORD_FILE=" + d.SecretFile("nats_"+role+"_password"),
		"SYSTOLE_NATS__INBOX_PREFIX=_INBOX." + role, fmt.Sprintf("SYSTOLE_NATS__MAKE_STREAMS=%t", role == "worker"),
	}
	if role != "gateway" {
		settings = append(settings, "SYSTOLE_REDIS__USERNAME="+role, "SYSTOLE_REDIS__PASSWORD_FILE="+d.SecretFile("redis_"+role+"_password"))
	}
	return settings
}

// Lay copies a folder of deploy, such as nats, to one of the test's own, and adds files to it: those of the deployment's secrets,
// named by what they are called there, and texts.
func (d *Deployment) Lay(t testing.TB, folder string, secrets, texts map[string]string) string {
	t.Helper()
	from, err := deployPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		text, err := d.secret(secrets[name])
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), text)
	}
	for name, text := range texts {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	_ = os.Remove(path) // a copied one may be read-only
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// StartNATS starts the server of deploy/nats/nats.conf.
func (d *Deployment) StartNATS(t testing.TB) *NATSServer {
	t.Helper()
	dir := d.Lay(t, "nats", map[string]string{"passwords.conf": "nats_passwords.conf"}, nil)
	return startConfigured(t, filepath.Join(dir, "nats.conf"), nil)
}

// NATS connects to a server of the deployment as one of its users. options come after those of the user.
func (d *Deployment) NATS(t testing.TB, url, user string, options ...nats.Option) *nats.Conn {
	t.Helper()
	password, err := d.secret("nats_" + user + "_password")
	if err != nil {
		t.Fatal(err)
	}
	return Connect(t, url, append([]nats.Option{nats.UserInfo(user, password), nats.CustomInboxPrefix("_INBOX." + user)}, options...)...)
}

// StartRedis starts the server of deploy/redis/redis.conf, with extra arguments.
func (d *Deployment) StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	conf, err := deployPath("redis", "redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	server := serverOn(port, t.TempDir())
	server.args = slices.Concat([]string{conf}, server.args, []string{"--aclfile", d.SecretFile("redis_users.acl")}, args)
	if server.login, err = d.login("monitor"); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	return server
}

// login gives the options of a client that is a user of the deployment's Redis.
func (d *Deployment) login(user string) (redis.Options, error) {
	password, err := d.secret("redis_" + user + "_password")
	return redis.Options{Username: user, Password: password, MaxRetries: -1, DisableIdentity: true}, err
}

// Redis gives a client that is a user of the deployment's Redis at addr.
func (d *Deployment) Redis(t testing.TB, addr, user string) *redis.Client {
	t.Helper()
	options, err := d.login(user)
	if err != nil {
		t.Fatal(err)
	}
	options.Addr = addr
	client := redis.NewClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}
