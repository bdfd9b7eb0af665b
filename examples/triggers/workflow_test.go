//go:build triggers

package triggers_test

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// workflow is what of a workflow of GitHub's matters here.
type workflow struct {
	On struct {
		Schedule         []struct{ Cron string }
		WorkflowDispatch any `yaml:"workflow_dispatch"`
	}
	Permissions map[string]string
	Jobs        map[string]struct {
		Steps []struct {
			Name, Shell, Run string
			Env              map[string]string
		}
	}
}

func readWorkflow(t *testing.T, file string) workflow {
	t.Helper()
	var w workflow
	if err := yaml.Unmarshal([]byte(read(t, file)), &w); err != nil {
		t.Fatal(err)
	}
	if len(w.On.Schedule) != 1 || !strings.Contains(read(t, file), "\n  workflow_dispatch:\n") || len(w.Jobs["heartbeat"].Steps) != 1 {
		t.Fatalf("%s is %+v", file, w)
	}
	return w
}

// run runs the workflow's step as a runner does: the expressions are replaced, and bash gets the script.
func (w workflow) run(g group, expressions map[string]string, environ ...string) (output string, err error) {
	g.t.Helper()
	step := w.Jobs["heartbeat"].Steps[0]
	if step.Shell != "bash" {
		g.t.Fatalf("the shell is %q", step.Shell)
	}
	environ = append(environ, "GITHUB_ACTIONS=true", "CI=true", "GITHUB_REPOSITORY=some/repository", "GITHUB_RUN_ID=1658821493", "GITHUB_REF=refs/heads/main")
	for name, text := range step.Env {
		expression := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(text, "${{"), "}}"))
		known, ok := expressions[expression]
		if !ok {
			g.t.Fatalf("%s is %s, which is not set up", name, text)
		}
		environ = append(environ, name+"="+known)
	}
	if strings.Contains(step.Run, "${{") {
		g.t.Errorf("an expression is put into the script itself:\n%s", step.Run)
	}
	return g.tryShell(environ, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run)
}

// R4.3, R4.5
func TestTheWorkflowOfGitHubSendsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := group{deploy(t), t, "default"}
	g.put("hello", 0)
	w := readWorkflow(t, "github-actions/heartbeat.yml")
	if len(w.Permissions) > 0 {
		t.Errorf("it has the permissions %v", w.Permissions)
	}
	if out, err := w.run(g, map[string]string{"vars.SYSTOLE_GATEWAY": g.gateway, "secrets.SYSTOLE_HEARTBEAT_TOKEN": credential}); err != nil || !strings.Contains(out, `"status":"accepted"`) {
		t.Fatalf("%v: %s", err, out)
	}
	g.cameFrom("github-actions")
	if note := g.beats()[0].Note; note != "some/repository run 1658821493" {
		t.Errorf("the heartbeat's note is %q", note)
	}
	if out, err := w.run(g, map[string]string{"vars.SYSTOLE_GATEWAY": g.gateway, "secrets.SYSTOLE_HEARTBEAT_TOKEN": "another"}); err == nil || !strings.Contains(out, "401") {
		t.Errorf("with a wrong secret the job ends with %v: %s", err, out)
	}
}

// R2.5: without a secret, with a token that GitHub signs for the job.
func TestTheWorkflowOfGitHubNeedsNoSecret(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	w := readWorkflow(t, "github-actions/heartbeat-oidc.yml")
	if len(w.Permissions) != 1 || w.Permissions["id-token"] != "write" {
		t.Errorf("it has the permissions %v", w.Permissions)
	}
	run := func(audience string) (string, error) {
		step := &w.Jobs["heartbeat"].Steps[0]
		step.Env["AUDIENCE"] = "${{ audience }}" // the gateway's address in the example, where that is public
		step.Run = strings.ReplaceAll(step.Run, "/heartbeat", "/heartbeat/"+g.name)
		defer func() { step.Run = strings.ReplaceAll(step.Run, "/heartbeat/"+g.name, "/heartbeat") }()
		return w.run(g, map[string]string{"vars.SYSTOLE_GATEWAY": g.gateway, "audience": audience}, g.issuer.jobEnvironment()...)
	}
	if out, err := run(audience); err != nil || !strings.Contains(out, `"status":"accepted"`) {
		t.Fatalf("%v: %s", err, out)
	}
	g.ran("github-actions")
	if out, err := run("https://somebody.example"); err == nil || !strings.Contains(out, "401") {
		t.Errorf("with a token for somebody else the job ends with %v: %s", err, out)
	}
}
