package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/systole-run/systole/internal/config"
)

// Each line of a code block in the documentation that calls systole names a command that exists, with flags that it has.
func TestTheCommandsInTheDocumentationExist(t *testing.T) {
	t.Parallel()
	lines := 0
	pages, err := filepath.Glob("../../examples/triggers/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"README.md", "deploy/README.md", "deploy/kubernetes/README.md", "deploy/observability/README.md"}
	for _, page := range pages {
		files = append(files, strings.TrimPrefix(page, "../../"))
	}
	for _, file := range files {
		for _, line := range codeLines(t, file, "sh") {
			line, _, _ = strings.Cut(line, " #")
			line, _, _ = strings.Cut(line, " > ")
			line = strings.TrimSuffix(line, " &")
			for _, start := range []string{"systole ", "go run ./cmd/systole "} {
				if rest, ok := strings.CutPrefix(strings.TrimSpace(line), start); ok {
					lines++
					checkCommandLine(t, file, strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(rest)))
				}
			}
		}
	}
	if lines < 10 {
		t.Errorf("found only %d command lines in the documentation", lines)
	}
}

func checkCommandLine(t *testing.T, file string, args []string) {
	t.Helper()
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	command, rest, err := a.rootCommand().Find(args)
	if err != nil {
		t.Errorf("%s: systole %s: %v", file, strings.Join(args, " "), err)
		return
	}
	if err := command.ParseFlags(rest); err != nil {
		t.Errorf("%s: systole %s: %v", file, strings.Join(args, " "), err)
		return
	}
	if command.Args != nil {
		if err := command.Args(command, command.Flags().Args()); err != nil {
			t.Errorf("%s: systole %s: %v", file, strings.Join(args, " "), err)
		}
	}
}

// R4.4: a setting that the guide for operators names is one that there is.
func TestTheSettingsInTheGuideExist(t *testing.T) {
	t.Parallel()
	var known map[string]any
	if err := yaml.Unmarshal([]byte(run(t, nil, "config", "show").expect(t, exitFine).out), &known); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:nats|redis|gateway|worker|console|executor|history|tracing)\\.[a-z_.]+[a-z])").FindAllStringSubmatch(string(data), -1)
	if len(named) < 20 {
		t.Errorf("found only %d settings", len(named))
	}
	for _, name := range named {
		var at any = known
		for level := range strings.SplitSeq(name[1], ".") {
			section, _ := at.(map[string]any)
			at = section[level]
		}
		if at == nil && !strings.HasSuffix(name[1], ".conf") {
			t.Errorf("there is no setting %s", name[1])
		}
	}
}

// R2.5: so are those of who may call. A worker reads no credentials, so that the files need not be there.
func TestTheCallersInTheREADMEAreValid(t *testing.T) {
	t.Parallel()
	lines := codeLines(t, "README.md", "yaml")
	lines = lines[slices.Index(lines, "# callers.yaml")+1:]
	end := 1 + slices.IndexFunc(lines[1:], func(line string) bool { return !strings.HasPrefix(line, " ") })
	file := write(t, "callers.yaml", strings.Join(lines[:end], "\n"))
	cfg, err := config.Load(config.Options{File: file, Environ: func() []string { return nil }, Roles: []config.Role{config.RoleWorker}})
	if err != nil {
		t.Fatal(err)
	}
	if auth := cfg.Gateway.Auth; len(auth.Tokens) != 1 || len(auth.HMAC.Keys) != 1 || len(auth.OIDC.Subjects) != 2 || len(auth.MTLS.Subjects) != 1 {
		t.Errorf("the settings are %+v", auth)
	}
}

// R4.4: the settings that the README shows are valid, once its secrets are there.
func TestTheSettingsInTheREADMEAreValid(t *testing.T) {
	t.Parallel()
	var yaml string
	for _, line := range codeLines(t, "README.md", "yaml") {
		if line == "# systole.yaml" {
			yaml = ""
		}
		yaml += line + "\n"
	}
	secret := write(t, "cron", "a-token-of-the-test")
	file := write(t, "systole.yaml", strings.ReplaceAll(yaml, "/run/secrets/cron", secret))
	_, err := config.Load(config.Options{File: file, Environ: func() []string { return []string{"OPS_TOKEN=another-token-of-the-test"} }})
	if err != nil {
		t.Error(err)
	}
}

// codeLines gives the lines of the code blocks of one language in a document at the top of the repository.
func codeLines(t *testing.T, file, language string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	inside := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "```"+language:
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			lines = append(lines, line)
		}
	}
	return lines
}
