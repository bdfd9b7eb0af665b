//go:build triggers

package triggers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// installed is where the READMEs put the script that cron and systemd run.
const installed, script = "/usr/local/bin/systole-heartbeat", "../../deploy/scheduler/beat.sh"

// shell runs lines of an example, and fails the test if they fail or if the credential is in an argument of curl.
func (g group) shell(environ []string, lines ...string) (output string) {
	g.t.Helper()
	out, err := g.tryShell(environ, lines...)
	if err != nil {
		g.t.Fatalf("%s: %v\n%s", strings.Join(lines, " "), err, out)
	}
	return out
}

func (g group) tryShell(environ []string, lines ...string) (output string, err error) {
	g.t.Helper()
	curl, err := exec.LookPath("curl")
	if err != nil {
		g.t.Fatal(err)
	}
	dir := g.t.TempDir()
	seen, spy := filepath.Join(dir, "arguments"), filepath.Join(dir, "curl")
	if err := os.WriteFile(spy, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >>'"+seen+"'\nexec '"+curl+"' \"$@\"\n"), 0o755); err != nil {
		g.t.Fatal(err)
	}
	path := "PATH=" + dir + string(os.PathListSeparator) + bin + string(os.PathListSeparator) + os.Getenv("PATH")
	out, err := g.try(append(environ, path), lines[0], lines[1:]...)
	if arguments, _ := os.ReadFile(seen); strings.Contains(string(arguments), credential) {
		g.t.Errorf("curl was told the credential as an argument:\n%s", arguments)
	}
	return out, err
}

// R4.5
func TestAHeartbeatByHandTellsWhatRan(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"heartbeat", "beat"} {
		g := newGroup(t)
		if out := g.shell(nil, "make", "-C", "manual", target); !strings.Contains(out, `"status":"settled"`) || !strings.Contains(out, `"succeeded":1`) {
			t.Errorf("make %s says %s", target, out)
		}
	}
	g := newGroup(t)
	for _, line := range codeLines(t, "manual/README.md", "systole beat ", "curl ") {
		line = strings.ReplaceAll(line, `/heartbeat`, `/heartbeat/`+g.name)
		line = strings.ReplaceAll(line, "/heartbeat/"+g.name+`" --token`, `/heartbeat" --group `+g.name+` --token`)
		if out := g.command(nil, "sh", "-c", line); !strings.Contains(out, `"status":"settled"`) {
			t.Errorf("%s says %s", line, out)
		}
	}
	g.ran("systole beat")
}

func TestAHeartbeatByHandFailsWhereTheGatewayRefuses(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	wrong := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(wrong, []byte("another-credential"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"heartbeat", "beat"} {
		if out, err := g.tryShell([]string{"HEARTBEAT_TOKEN_FILE=" + wrong}, "make", "-C", "manual", target); err == nil || !strings.Contains(out, "401") {
			t.Errorf("make %s: %v, %s", target, err, out)
		}
	}
}

func TestAHeartbeatByHandIsNotSentWithoutItsToken(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	missing := filepath.Join(t.TempDir(), "token")
	out, err := g.tryShell([]string{"HEARTBEAT_TOKEN_FILE=" + missing}, "make", "-C", "manual", "heartbeat")
	if err == nil || !strings.Contains(out, missing) || strings.Contains(out, "401") {
		t.Errorf("make heartbeat: %v, %s", err, out)
	}
}

// R4.5, R6.5
func TestTheLineOfTheCrontabSendsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	job := regexp.MustCompile(`(?m)^\* \* \* \* \* systole (.+)$`).FindStringSubmatch(read(t, "cron/crontab"))
	if job == nil || !strings.HasPrefix(job[1], installed+" ") {
		t.Fatalf("the crontab has no line for the user systole that runs %s", installed)
	}
	g.shell(nil, "sh", "-c", strings.Replace(job[1], installed, "sh "+script, 1))
	g.ran("")
}

// R5.1
func TestTheSignedScriptSendsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	sign := func(key string) (string, error) {
		return g.tryShell([]string{"SYSTOLE_KEY_NAME=" + key, "SYSTOLE_KEY_FILE=" + g.tokenFile}, "signed/beat.sh", g.gateway+"/heartbeat/"+g.name)
	}
	if out, err := sign("cron"); err != nil || !strings.Contains(out, `"status":"accepted"`) {
		t.Fatalf("%v: %s", err, out)
	}
	g.ran("")
	if out, err := sign("somebody"); err == nil || !strings.Contains(out, "401") {
		t.Errorf("with a key that the gateway does not know it ends with %v: %s", err, out)
	}
}

func TestTheUnitsOfSystemdAreValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"systole-heartbeat.service", "systole-heartbeat.timer"} {
		unit := strings.ReplaceAll(read(t, filepath.Join("systemd", name)), installed, filepath.Join(dir, "script"))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := newGroup(t)
	service, timer := filepath.Join(dir, "systole-heartbeat.service"), filepath.Join(dir, "systole-heartbeat.timer")
	if out := g.command(nil, "systemd-analyze", "verify", "--man=no", service, timer); strings.Contains(out, dir) {
		t.Errorf("verify says %s", out)
	}
	calendar := value(t, "systemd/systole-heartbeat.timer", "OnCalendar")
	if out := g.command(nil, "systemd-analyze", "calendar", "--base-time=2026-03-02 07:00:30 UTC", calendar); !strings.Contains(out, "07:01:00") {
		t.Errorf("the next heartbeat is due\n%s", out)
	}
	g.command(nil, "systemd-analyze", "security", "--offline=true", "--threshold=20", service)
}

func TestTheServiceOfSystemdSendsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	if file := value(t, "systemd/systole-heartbeat.service", "Environment=HEARTBEAT_TOKEN_FILE"); file != "%d/token" {
		t.Fatalf("the token is %s", file)
	}
	credentials := t.TempDir() // what systemd makes of LoadCredential
	if err := os.WriteFile(filepath.Join(credentials, "token"), []byte(credential+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	line := strings.Replace(value(t, "systemd/systole-heartbeat.service", "ExecStart"), installed, script, 1)
	g.shell([]string{"HEARTBEAT_TOKEN_FILE=" + credentials + "/token"}, strings.Fields(line)...)
	g.ran("")
}

// value is what a line key=value of a unit says.
func value(t *testing.T, file, key string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(key) + `=(.+)$`).FindStringSubmatch(read(t, file))
	if found == nil {
		t.Fatalf("%s has no %s", file, key)
	}
	return found[1]
}

func TestTheCommandOfTheCronJobSendsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	job := readCronJob(t, "kubernetes-cronjob/cronjob.yaml")
	if out := g.shell(nil, job.command(g)...); !strings.Contains(out, `"status":"accepted"`) {
		t.Errorf("it says %s", out)
	}
	g.ran("")
}

// R2.5: without a secret, with a token that the cluster signs for the pod.
func TestTheCronJobNeedsNoSecret(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	job := readCronJob(t, "kubernetes-cronjob/cronjob-oidc.yaml")
	pod := job.Spec.JobTemplate.Spec.Template.Spec
	if token := pod.Volumes[0].Projected.Sources[0].ServiceAccountToken; token.Audience != audience || token.Path != "token" {
		t.Errorf("the pod has the token %+v", token)
	}
	send := func(account string) (string, error) {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(g.issuer.sign(kubernetesClaims(account))), 0o600); err != nil {
			t.Fatal(err)
		}
		return g.tryShell([]string{"HEARTBEAT_TOKEN_FILE=" + file}, job.command(g)...)
	}
	if out, err := send("another"); err == nil || !strings.Contains(out, "401") {
		t.Errorf("another account is answered %s, %v", out, err)
	}
	if out, err := send(pod.ServiceAccountName); err != nil || !strings.Contains(out, `"status":"accepted"`) {
		t.Fatalf("it says %s, %v", out, err)
	}
	g.ran("")
}

// cronJob is what of a CronJob of Kubernetes matters here.
type cronJob struct {
	Kind string
	Spec struct {
		Schedule                string
		StartingDeadlineSeconds int `yaml:"startingDeadlineSeconds"`
		JobTemplate             struct {
			Spec struct {
				ActiveDeadlineSeconds int `yaml:"activeDeadlineSeconds"`
				Template              struct {
					Spec struct {
						ServiceAccountName string `yaml:"serviceAccountName"`
						Containers         []struct {
							Command []string
							Env     []struct{ Name, Value string }
						}
						Volumes []struct {
							Projected struct {
								Sources []struct {
									ServiceAccountToken struct{ Path, Audience string } `yaml:"serviceAccountToken"`
								}
							}
						}
					}
				}
			}
		} `yaml:"jobTemplate"`
	}
}

// readCronJob reads the last document of a file, which is the job.
func readCronJob(t *testing.T, file string) (job cronJob) {
	t.Helper()
	documents := strings.Split(read(t, file), "\n---\n")
	if err := yaml.Unmarshal([]byte(documents[len(documents)-1]), &job); err != nil {
		t.Fatal(err)
	}
	if job.Kind != "CronJob" || job.Spec.Schedule != "* * * * *" || job.Spec.StartingDeadlineSeconds == 0 || job.Spec.JobTemplate.Spec.ActiveDeadlineSeconds >= 60 {
		t.Errorf("%s is %+v", file, job)
	}
	return job
}

// command is what the job runs. It may be told only what the deployment of the tests says as well.
func (j cronJob) command(g group) []string {
	g.t.Helper()
	container := j.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	for _, variable := range container.Env {
		if !strings.Contains(strings.Join(g.environ(), "\n"), variable.Name+"=") {
			g.t.Errorf("nobody knows the variable %s=%s", variable.Name, variable.Value)
		}
	}
	if len(container.Env) != 3 {
		g.t.Errorf("the variables are %v", container.Env)
	}
	return container.Command
}

// codeLines are the commands in a page that start so; one that goes on in the next line is one.
func codeLines(t *testing.T, page string, starts ...string) (lines []string) {
	t.Helper()
	text, inside := strings.ReplaceAll(read(t, page), "\\\n", " "), false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			inside = !inside
		}
		for _, start := range starts {
			if inside && strings.HasPrefix(line, start) {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	if len(lines) < len(starts) {
		t.Fatalf("%s has the commands %q", page, lines)
	}
	return lines
}
