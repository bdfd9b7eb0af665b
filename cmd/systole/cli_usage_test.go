package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestWrongUsageExitsWith2AndSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		says []string
	}{
		"an unknown command":          {[]string{"flows"}, []string{`unknown command "flows"`}},
		"an unknown subcommand":       {[]string{"flow", "destroy"}, []string{`unknown command "destroy" for "systole flow"`}},
		"no subcommand":               {[]string{"flow"}, []string{"found no subcommand", "validate"}},
		"an unknown flag":             {[]string{"version", "--fast"}, []string{"unknown flag: --fast"}},
		"no command of heartbeats":    {[]string{"beat", "lst"}, []string{`unknown command "lst" for "systole beat"`}},
		"a bad group of heartbeats":   {[]string{"beat", "list", "--group", "A B"}, []string{`--group: found "A B"`}},
		"an argument too many":        {[]string{"version", "now"}, []string{`unknown command "now"`}},
		"a missing argument":          {[]string{"flow", "show"}, []string{"systole flow show: found 0 arguments, allowed are exactly: FLOW"}},
		"two where one is":            {[]string{"run", "logs", "a", "b"}, []string{"found 2 arguments, allowed are exactly: RUN"}},
		"no file to apply":            {[]string{"flow", "apply"}, []string{"--filename: found none, allowed are"}},
		"no file to validate":         {[]string{"flow", "validate"}, []string{"--filename: found none, allowed are files, folders of *.yaml"}},
		"files without their flag":    {[]string{"flow", "apply", "flows"}, []string{`systole flow apply: found "flows", allowed are files and folders after -f`}},
		"an unknown format":           {[]string{"flow", "list", "-o", "xml"}, []string{`found "xml", allowed is table, json or yaml`}},
		"an unknown format of a file": {[]string{"flow", "validate", "-o", "csv", "x"}, []string{`found "csv", allowed is table, json or yaml`}},
		"a bad group":                 {[]string{"flow", "list", "--group", "A B"}, []string{`--group: found "A B", allowed are 1 to 63 of a-z`}},
		"a bad group of a heartbeat":  {[]string{"beat", "--group", "../x"}, []string{`--group: found "../x", allowed are`}},
		"a bad name of a flow":        {[]string{"flow", "show", "../x"}, []string{`flow: found "../x", allowed is 1 to 63 of a-z`}},
		"a bad id of a run":           {[]string{"run", "show", "x"}, []string{`run: found "x", allowed is a run id such as`}},
		"an unknown status":           {[]string{"run", "list", "--status", "lost"}, []string{`--status: found "lost", allowed are pending, in_progress, success, failed, cancelled`}},
		"a limit below 0":             {[]string{"run", "list", "--limit", "-1"}, []string{"--limit: found -1, allowed are 0"}},
		"parameters that are no JSON": {[]string{"flow", "run", "a", "--params", "{day"}, []string{"--params: found no JSON"}},
		"parameters that are a list":  {[]string{"flow", "run", "a", "--params", "[1]"}, []string{"--params: found no JSON object, allowed is one such as"}},
		"nothing to preview":          {[]string{"flow", "preview"}, []string{"found no flow, allowed are the name"}},
		"two flows to preview":        {[]string{"flow", "preview", "a", "b"}, []string{"accepts at most 1 arg"}},
		"a time that is none":         {[]string{"flow", "preview", "a", "--from", "now"}, []string{`--from: found "now", allowed is a time such as 2026-`}},
		"a cadence that is none":      {[]string{"flow", "preview", "a", "--beats", "often"}, []string{`invalid argument "often" for "--beats"`}},
		"a server that is none":       {[]string{"flow", "list", "--server", "localhost"}, []string{"allowed is a URL like http://127.0.0.1:8080"}},
		"a gateway that is none":      {[]string{"beat", "--gateway", "localhost:8080"}, []string{"--gateway: found no such address, allowed is a URL such as"}},
		"a key that is none":          {[]string{"beat", "--idempotency-key", "a b"}, []string{`--idempotency-key: found "a b", allowed are visible ASCII`}},
		"an empty token file":         {[]string{"flow", "list", "--token-file", os.DevNull}, []string{"--token-file: found nothing in", "a file that holds a token"}},
		"a token of two lines":        {[]string{"beat", "--token-file", "cli_usage_test.go"}, []string{"--token-file: found spaces or control characters in the token"}},
		"certificates that are away":  {[]string{"status", "--ca-file", "/nowhere/ca"}, []string{"--ca-file", "open /nowhere/ca: no such file"}},
		"a bad flow of runs":          {[]string{"run", "list", "--flow", "A"}, []string{`--flow: found "A", allowed are 1 to 63`}},
		"help on nothing":             {[]string{"help", "flow", "destroy"}, []string{`help: found "flow destroy"`}},
		"completion of no shell":      {[]string{"completion"}, []string{"found no shell, allowed are those listed above"}},
		"completion of another shell": {[]string{"completion", "tcsh"}, []string{`unknown command "tcsh"`}},
		"a negative wait":             {[]string{"beat", "--wait", "-1s"}, []string{"--wait: found -1s"}},
		"a token file that is away":   {[]string{"flow", "list", "--token-file", "/nowhere/token"}, []string{"--token-file: open /nowhere/token: no such file"}},
		"a negative wait for an end":  {[]string{"run", "cancel", "a~1", "--wait", "-1s"}, []string{"--wait: found -1s, allowed are 0"}},
		"a long reason to cancel":     {[]string{"run", "cancel", "a~1", "--reason", strings.Repeat("x", 501)}, []string{"--reason: found 501 bytes, allowed are up to 500"}},
		"a long reason to pause":      {[]string{"flow", "pause", "a", "--reason", strings.Repeat("x", 501)}, []string{"--reason: found 501 bytes"}},
		"a bad name to pause":         {[]string{"flow", "pause", "../x"}, []string{`flow: found "../x"`}},
		"a bad name to resume":        {[]string{"flow", "resume", "../x"}, []string{`flow: found "../x"`}},
		"a bad name of slots":         {[]string{"flow", "slots", "../x"}, []string{`flow: found "../x"`}},
		"a slot at no time":           {[]string{"flow", "slots", "a", "--at", "noon"}, []string{`--at: found "noon", allowed are RFC 3339`}},
		"a bad id to cancel":          {[]string{"run", "cancel", "x"}, []string{`run: found "x"`}},
		"a bad id to retry":           {[]string{"run", "retry", "x"}, []string{`run: found "x"`}},
		"a bad id of the dead":        {[]string{"dead", "retry", "x"}, []string{`run: found "x"`}},
		"a bad id to purge":           {[]string{"dead", "purge", "a~1", "x"}, []string{`run: found "x"`}},
		"nothing to purge":            {[]string{"dead", "purge"}, []string{"allowed is either RUN… or --all"}},
		"some and all to purge":       {[]string{"dead", "purge", "a~1", "--all"}, []string{"allowed is either RUN… or --all"}},
		"a limit of slots below 0":    {[]string{"flow", "slots", "a", "--limit", "-1"}, []string{"--limit: found -1"}},
		"the dead alone":              {[]string{"dead"}, []string{"found no subcommand", "purge"}},
		"an address that is none":     {[]string{"doctor", "--url", "readyz"}, []string{`--url: found "readyz", allowed is a URL such as`}},
		"an unknown role":             {[]string{"config", "check", "--role", "boss"}, []string{`--role: found "boss", allowed are gateway, worker, console and dev`}},
		"a file that is away":         {[]string{"config", "check", "-c", "/nowhere.yaml"}, []string{"/nowhere.yaml: found a file that cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, nil, test.args...).expect(t, exitUsage, test.says...)
		})
	}
}

func TestWhatFailsThoughItIsWrittenRightExitsWith1(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no server to list from":       {"flow", "list", "--server", "http://127.0.0.1:1"},
		"no gateway to send to":        {"beat", "--gateway", "http://127.0.0.1:1/heartbeat"},
		"nobody answers a probe":       {"doctor", "--url", "http://127.0.0.1:1/readyz"},
		"a folder of flows is missing": {"flow", "validate", "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, nil, args...).expect(t, exitFailed, "systole: ")
		})
	}
}

func TestEveryCommandHasHelpWithAnExampleThatCallsIt(t *testing.T) {
	t.Parallel()
	for _, cmd := range commands() {
		help := run(t, nil, append(strings.Fields(cmd.CommandPath())[1:], "--help")...).expect(t, exitFine)
		if !strings.Contains(cmd.Example, cmd.CommandPath()) || !strings.Contains(help.out, cmd.Example) {
			t.Errorf("%s: the help has no example that calls it", cmd.CommandPath())
		}
	}
}

func TestEveryCommandThatTalksToTheAPITakesServerAndTokenFile(t *testing.T) {
	t.Parallel()
	alone := map[string]bool{"flow validate": true, "flow schema": true, "config check": true, "config show": true, "version": true, "doctor": true, "dev": true, "gateway": true, "worker": true, "console": true, "beat": true}
	lists := map[string]bool{"flow list": true, "flow show": true, "flow preview": true, "flow apply": true, "flow validate": true, "run list": true, "run show": true, "flow slots": true, "dead list": true, "beat list": true, "status": true}
	for _, cmd := range commands() {
		name := strings.TrimPrefix(cmd.CommandPath(), "systole ")
		talks := cmd.Flags().Lookup("server") != nil && cmd.Flags().Lookup("token-file") != nil
		if talks == alone[name] {
			t.Errorf("%s: --server and --token-file are there: %t", name, talks)
		}
		if shows := cmd.Flags().Lookup("output") != nil; shows != lists[name] {
			t.Errorf("%s: --output is there: %t", name, shows)
		}
	}
}

// commands are all that do something, in no order that matters.
func commands() []*cobra.Command {
	var leaves []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if (!cmd.HasSubCommands() || cmd.Example != "") && cmd.Name() != "help" && cmd.Name() != "completion" {
			leaves = append(leaves, cmd)
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk((&app{environ: os.Environ}).rootCommand())
	return leaves
}

// What a user's shell has for the command line must not be taken for settings, nor the other way round.
func TestVariablesOfTheCommandLineAreNoSettings(t *testing.T) {
	t.Parallel()
	environ := []string{"SYSTOLE_SERVER=http://x", "SYSTOLE_GATEWAY=http://x/heartbeat", "SYSTOLE_TOKEN=t", "SYSTOLE_API_TOKEN=t"}
	run(t, environ, "config", "check").expect(t, exitFine, "settings are fine")
	run(t, []string{"SYSTOLE_GATEWY__LISTEN=:1"}, "config", "check").expect(t, exitUsage, "SYSTOLE_GATEWAY__LISTEN?")
}

func TestTheVersionIsPrinted(t *testing.T) {
	t.Parallel()
	run(t, nil, "version").expect(t, exitFine, "systole "+version+"\ncommit unknown\n"+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	run(t, nil, "--version").expect(t, exitFine, version)
	if _, err := exec.LookPath("sh"); err != nil {
		t.Fatal("the tests of this package run examples in a shell: ", err)
	}
}
