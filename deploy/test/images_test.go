//go:build compose

package deploytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// standIn is a base image that is made here, where an image registry would be asked elsewhere. It has what
// docker-compose.yml and deploy/Dockerfile expect of the image that it stands for, and nothing else.
type standIn struct {
	variable   string // names the image in docker-compose.yml, or in deploy/observability/compose.yml
	env        []string
	entrypoint string
	fill       func(ctx context.Context, t *testing.T, l *layer)
}

var standIns = []standIn{
	{
		variable: "REDIS_IMAGE",
		fill: func(ctx context.Context, _ *testing.T, l *layer) {
			l.program(ctx, "redis-server")
			l.program(ctx, "redis-cli")
			l.busybox("sh", "cat", "grep") // for the health check
			l.dir("data", 0o755, 999, 1000)
		},
	},
	{
		variable: "NATS_IMAGE",
		fill: func(ctx context.Context, t *testing.T, l *layer) {
			l.file("bin/nats-server", buildNATS(ctx, t))
			l.program(ctx, "wget")
		},
	},
	{
		variable: "SCHEDULER_IMAGE",
		fill: func(ctx context.Context, _ *testing.T, l *layer) {
			l.busybox("sh", "crond", "mkdir", "cp", "cat", "sleep")
			l.program(ctx, "curl")
			l.text("etc/passwd", "root:x:0:0:root:/:/bin/sh\n")
			l.text("etc/group", "root:x:0:\n")
		},
	},
	{
		variable:   "PROMETHEUS_IMAGE",
		entrypoint: "/bin/prometheus",
		fill: func(ctx context.Context, t *testing.T, l *layer) {
			l.program(ctx, strings.TrimSpace(run(ctx, t, nil, "tools/prometheus", "where", "prometheus")))
		},
	},
	{
		variable: "BUILDER_IMAGE",
		env:      []string{"PATH=/usr/local/go/bin:/bin", "GOPATH=/go", "GOPROXY=off", "GOSUMDB=off", "GOTOOLCHAIN=local", "HOME=/root"},
		fill: func(ctx context.Context, t *testing.T, l *layer) {
			l.busybox("sh", "mkdir", "cp", "chmod")
			l.file("etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
			l.dir("tmp", 0o1777, 0, 0)
			goroot, cache := goEnv(ctx, t, "GOROOT"), goEnv(ctx, t, "GOMODCACHE")
			for _, part := range []string{"bin", "pkg"} {
				l.tree("usr/local/go/"+part, filepath.Join(goroot, part), regexp.MustCompile(`^obj$`))
			}
			for _, part := range []string{"VERSION", "go.env"} {
				l.file("usr/local/go/"+part, filepath.Join(goroot, part))
			}
			l.tree("go/pkg/mod/cache", filepath.Join(modules(ctx, t), "cache"), nil)
			for _, folder := range moduleFolders(ctx, t) { // one that is there is not unpacked
				l.dir(moved(folder, cache, "go/pkg/mod"), 0o755, 0, 0)
			}
			for _, file := range buildFiles(ctx, t) {
				l.file(moved(moved(file, cache, "go/pkg/mod"), goroot, "usr/local/go"), file)
			}
			l.tree("root/.cache/go-build", buildCache(ctx, t), nil)
		},
	},
	{
		variable: "WORKER_RUNTIME_IMAGE", // what the flows of this test call
		fill:     func(_ context.Context, _ *testing.T, l *layer) { l.busybox("sh", "sleep", "date") },
	},
}

// madeBy labels a stand-in, and by inheritance everything that is built of it, with the test that made it.
const madeBy = "systole.test="

// makeStandIns imports every stand-in and gives the settings that make Compose use them.
func makeStandIns(ctx context.Context, t *testing.T, tag string) []string {
	t.Helper()
	var settings []string
	for _, s := range standIns {
		name := strings.ReplaceAll(strings.ToLower(s.variable), "_", "-") + ":" + tag
		began := time.Now()
		if err := s.make(ctx, t, name, tag); err != nil {
			t.Fatalf("make the stand-in for %s: %v", s.variable, err)
		}
		t.Logf("the stand-in for %s took %s", s.variable, time.Since(began).Round(time.Second))
		settings = append(settings, s.variable+"="+name)
	}
	return settings
}

func (s standIn) make(ctx context.Context, t *testing.T, name, tag string) error {
	args := []string{"import", "--change", "LABEL " + madeBy + tag}
	for _, variable := range append([]string{"PATH=/bin"}, s.env...) {
		args = append(args, "--change", "ENV "+variable)
	}
	if s.entrypoint != "" {
		args = append(args, "--change", fmt.Sprintf("ENTRYPOINT [%q]", s.entrypoint))
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker", append(args, "-", name)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	l := newLayer(stdin)
	s.fill(ctx, t, l)
	if err := errors.Join(l.Close(), stdin.Close(), cmd.Wait()); err != nil {
		return fmt.Errorf("%w: %s", err, output.String())
	}
	return nil
}

// buildNATS builds the server at the version that go.mod names.
func buildNATS(ctx context.Context, t *testing.T) string {
	path := filepath.Join(t.TempDir(), "nats-server")
	run(ctx, t, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", path, "github.com/nats-io/nats-server/v2")
	return path
}

// modules gives a folder with exactly the modules that go.mod names.
func modules(ctx context.Context, t *testing.T) string {
	run(ctx, t, nil, "go", "mod", "download")
	from := filepath.Join(goEnv(ctx, t, "GOMODCACHE"), "cache", "download")
	to := t.TempDir()
	run(ctx, t, []string{"GOMODCACHE=" + to, "GOFLAGS=-modcacherw", "GOPROXY=file://" + from}, "go", "mod", "download")
	return to
}

// moduleFolders gives where this machine has the modules that go.mod names.
func moduleFolders(ctx context.Context, t *testing.T) []string {
	var folders []string
	for decoder := json.NewDecoder(strings.NewReader(run(ctx, t, nil, "go", "mod", "download", "-json"))); decoder.More(); {
		var module struct{ Dir string }
		if err := decoder.Decode(&module); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, module.Dir)
	}
	return folders
}

// buildFiles gives the files outside this module that the program is built of. The tens of thousands of others would be looked at
// by the engine after each step.
func buildFiles(ctx context.Context, t *testing.T) []string {
	const each = `{{$dir := .Dir}}{{with .Module}}{{if .Main}}{{$dir = ""}}{{end}}{{end}}{{if $dir}}` +
		`{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .SFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}` +
		`{{range .HFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`
	return strings.Fields(run(ctx, t, []string{"CGO_ENABLED=0"}, "go", "list", "-deps", "-tags", "timetzdata", "-f", each, "./cmd/systole"))
}

// moved gives the path of a file below one folder as it is below another.
func moved(path, from, to string) string {
	if below, found := strings.CutPrefix(path, from+"/"); found {
		return to + "/" + below
	}
	return path
}

// buildCache gives a folder with what the compiler makes of the packages, built just as deploy/Dockerfile does. It is
// kept from run to run, so that only the first one compiles everything; the build in the container takes from it what
// fits and makes the rest.
func buildCache(ctx context.Context, t *testing.T) string {
	caches, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(caches, "systole", "compose-build")
	run(ctx, t, []string{"CGO_ENABLED=0", "GOCACHE=" + dir},
		"go", "build", "-trimpath", "-buildvcs=false", "-tags", "timetzdata", "-o", os.DevNull, "./cmd/systole")
	return dir
}

func goEnv(ctx context.Context, t *testing.T, name string) string {
	return strings.TrimSpace(run(ctx, t, nil, "go", "env", name))
}

// run runs a command in the module's root folder and gives its standard output.
func run(ctx context.Context, t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = root, append(os.Environ(), env...), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}
