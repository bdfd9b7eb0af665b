package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// Every line that --help shows as an example does what it says, on a system like the one that it was written for.
func TestEveryExampleOfTheHelpWorks(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	for _, cmd := range commands() {
		for line := range strings.Lines(cmd.Example) {
			t.Run(strings.TrimSpace(line), func(t *testing.T) {
				run(t, site.environ, "flow", "apply", "-f", site.flows).expect(t, exitFine) // an example may have deleted them
				site.execute(t, site.fill(site.prepare(t, strings.TrimSpace(line))))
			})
		}
	}
}

// site is a system that the examples run against.
type site struct {
	environ []string
	flows   string
	fill    func(line string) string
}

func newSite(t *testing.T) site {
	dev := startDev(t, nil)
	s := site{environ: against(dev), flows: folder(t, map[string]string{
		"orders.yaml": strings.Replace(goodFlow, "good", "orders-sync", 1), "flow.yaml": demandFlow,
		"slow.yaml": slowFlow, "broken.yaml": strings.Replace(brokenFlow, "every: 1h\n", "", 1),
	})}
	run(t, s.environ, "flow", "apply", "-f", s.flows).expect(t, exitFine)
	run(t, s.environ, "beat", "--wait", "1m").expect(t, exitFine, `"succeeded":1`)
	id := regexp.MustCompile(`orders-sync~\d+`).FindString(run(t, s.environ, "run", "list").expect(t, exitFine).out)

	natsURL, prefix := testenv.NATSURL(t)
	redisURL, _ := testenv.RedisURL(t)
	settings := write(t, "systole.yaml", "nats: {url: '"+natsURL+"', prefix: "+prefix+"}\nredis: {url: '"+redisURL+"', prefix: "+prefix+"}\n"+
		"gateway: {auth: {tokens: [{name: cron, value: "+firstToken+"}]}}\nconsole: {listen: '127.0.0.1:0'}\nmetrics: {listen: '127.0.0.1:0'}\n")
	examples, err := filepath.Abs("../../examples/flows")
	if err != nil {
		t.Fatal(err)
	}
	s.fill = strings.NewReplacer(
		"https://systole.example", dev.url, "http://127.0.0.1:8080", dev.url, "http://127.0.0.1:8081", dev.url, "http://127.0.0.1:9090", dev.url, "0.0.0.0:8080", "0.0.0.0:0",
		"systole.yaml", settings, "examples/flows", examples, " flows/", " "+s.flows, "flow.yaml", filepath.Join(s.flows, "flow.yaml"),
		"orders-sync~1795388654370168", id, "…", firstToken,
	).Replace
	return s
}

// prepare makes what an example wants to end, repeat or forget, and names it in the line.
func (s site) prepare(t *testing.T, line string) string {
	t.Helper()
	const running, failed = "report~1795388654370168", "broken~1795388654370168"
	switch {
	case strings.Contains(line, running):
		id := strings.TrimSpace(run(t, s.environ, "flow", "run", "slow").expect(t, exitFine).out)
		return strings.Replace(line, running, id, 1)
	case strings.Contains(line, failed):
		id := strings.TrimSpace(run(t, s.environ, "flow", "run", "broken").expect(t, exitFine).out)
		settle(t, s.environ, id)
		return strings.Replace(line, failed, id, 1)
	}
	return line
}

// execute does what a shell would.
func (s site) execute(t *testing.T, line string) {
	t.Helper()
	in := ""
	if source, command, piped := strings.Cut(line, " | "); piped {
		in, line = s.read(t, source), command
	}
	line, _, _ = strings.Cut(line, " > ")
	environ, args := words(s.environ, line)
	switch {
	case args[0] == "curl":
		if status, body := curl(t, args[1:]); status < 200 || status > 299 {
			t.Errorf("answered %d %s", status, body)
		}
	case args[0] != "systole":
		t.Errorf("the example calls %s", args[0])
	case len(args) > 1 && (args[1] == "dev" || args[1] == "gateway" || args[1] == "worker" || args[1] == "console"):
		s.serve(t, environ, args[1:])
	default:
		runWith(t, in, environ, args[1:]...).expect(t, exitFine)
	}
}

// read gives what the command before a pipe prints.
func (s site) read(t *testing.T, command string) string {
	t.Helper()
	if file, found := strings.CutPrefix(command, "cat "); found {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	environ, args := words(s.environ, command)
	return run(t, environ, args[1:]...).expect(t, exitFine).out
}

// serve starts a role and ends it again.
func (s site) serve(t *testing.T, environ []string, args []string) {
	t.Helper()
	if args[0] == "dev" {
		args = append(args, "--gateway.listen", "127.0.0.1:0") // the port of the example may be taken
	}
	r := launch(t, environ, args...)
	r.log.find(t, regexp.MustCompile(`msg=listening`))
	r.stop()
	if code := <-r.code; code != exitFine {
		t.Errorf("exit status %d\n%s", code, r.log)
	}
}

var wordPattern = regexp.MustCompile(`'[^']*'|\S+`)

// words splits a line as a shell does, as far as the examples need that.
func words(environ []string, line string) (withAssignments, args []string) {
	withAssignments = append(withAssignments, environ...)
	for _, word := range wordPattern.FindAllString(line, -1) {
		if name, _, found := strings.Cut(word, "="); found && len(args) == 0 && strings.HasPrefix(name, "SYSTOLE_") {
			withAssignments = append(withAssignments, word)
			continue
		}
		args = append(args, strings.Trim(word, "'"))
	}
	return withAssignments, args
}
