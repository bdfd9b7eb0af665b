package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Deployment is what somebody has who copied the configuration of deploy/nats and deploy/redis to their servers, each with
// passwords of its own that deploy/secrets.sh made. The files are copied as they are: what tests need to be different, such
// as ports, they say as an operator would on the command line.
type Deployment struct {
	secrets string                 // folder of deploy/secrets.sh
	certs   func() (string, error) // folder of deploy/certs.sh
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
	dir, err := runScript("secrets.sh")
	return &Deployment{secrets: dir, certs: sync.OnceValues(func() (string, error) { return runScript("certs.sh") })}, err
})

// runScript runs a script of deploy that fills a folder. Told where the files lie on the servers, it hears the same folder.
func runScript(name string) (string, error) {
	dir, err := os.MkdirTemp("", "systole-deploy-")
	if err != nil {
		return "", err
	}
	script, err := deployPath(name)
	if err != nil {
		return "", err
	}
	if out, err := exec.Command(script, dir, dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return dir, nil
}

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

// Secret is what the file of that name holds.
func (d *Deployment) Secret(t testing.TB, name string) string {
	t.Helper()
	return read(t, d.SecretFile(name))
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

// File gives the path of a file in deploy, such as redis/tls.conf.
func (d *Deployment) File(t testing.TB, name string) string {
	t.Helper()
	path, err := deployPath(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Cert gives the path of a file that deploy/certs.sh made, such as ca.crt or worker.key.
func (d *Deployment) Cert(t testing.TB, name string) string {
	t.Helper()
	dir, err := d.certs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Lay copies a folder of deploy to one of the test's own and adds files to it: name to content.
func (d *Deployment) Lay(t testing.TB, folder string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(d.File(t, folder))); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
