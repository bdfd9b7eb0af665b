package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/store"
)

// Exit statuses.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// app is what every command gets: where to read and write, and when to stop.
type app struct {
	in       io.Reader
	out, err io.Writer
	abort    <-chan struct{}  // closed when the process shall end at once
	environ  func() []string  // the environment, as NAME=value
	hangups  <-chan os.Signal // asks for new settings; nil: SIGHUP does
	redisLog func(*slog.Logger)
	typing   time.Duration // how long whoever types waits for a word to be completed; completeWithin

	configFile string
	started    bool // a command's own code runs: what fails now is not wrong usage
}

// execute runs one command line and gives its exit status.
func execute(ctx context.Context, abort <-chan struct{}, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut, abort: abort, environ: os.Environ, redisLog: setRedisLog}
	return a.execute(ctx, args)
}

func (a *app) execute(ctx context.Context, args []string) int {
	root := a.rootCommand()
	strictHelp(root)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	fmt.Fprintln(a.err, "systole:", err)
	if !a.started || wrongUsage(err) {
		return exitUsage
	}
	return exitFailed
}

// wrongUsage tells what whoever typed the command, or wrote its settings, has to change.
func wrongUsage(err error) bool {
	var settings *config.InvalidError
	var usage usageError
	var name store.FieldError
	return errors.As(err, &settings) || errors.As(err, &usage) || errors.As(err, &name)
}

// getenv gives a variable of the environment, empty if it is not set.
func (a *app) getenv(name string) string {
	for _, entry := range slices.Backward(a.environ()) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// gatewayVariable names the gateway that the command beat sends to. It has the look of a setting and is none.
const gatewayVariable = "SYSTOLE_GATEWAY"

// settingsEnviron is the environment that settings are read from.
func (a *app) settingsEnviron() []string {
	return slices.DeleteFunc(slices.Clone(a.environ()), func(entry string) bool { return strings.HasPrefix(entry, gatewayVariable+"=") })
}

// usageError is wrong usage that only the command's own code can find.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "systole",
		Short: "A heartbeat-driven runtime for DataFlows",
		Long: `Systole runs your DataFlows when something outside sends a heartbeat, and never by itself.

  systole dev --flows DIR     everything in one process, to try it
  systole gateway             takes heartbeats over HTTP and publishes them to NATS
  systole worker              runs what is due; start as many as you need
  systole console             serves the admin API, which the commands flow, run, dead, status and beat list call

Exit status: 0 success, 1 failure, 2 wrong usage or configuration.`,
		Version: version, SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(*cobra.Command, []string) { a.started = true },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddCommand(
		a.devCommand(), a.gatewayCommand(), a.workerCommand(), a.consoleCommand(),
		a.beatCommand(), a.flowCommand(), a.runCommand(), a.deadCommand(), a.statusCommand(), a.configCommand(), a.doctorCommand(), a.versionCommand(),
	)
	return root
}

// strictHelp has the commands that cobra makes find wrong usage, where by themselves they show something else and are fine.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, made := range root.Commands() {
		switch made.Name() {
		case "help":
			made.Args = func(_ *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return fmt.Errorf("help: found %q, allowed are the names of commands", strings.Join(args, " "))
				}
				return nil
			}
		case "completion":
			made.Args, made.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
				_ = cmd.Help()
				return usageError{errors.New("completion: found no shell, allowed are those listed above")}
			}
		}
	}
}

// group makes a command that only holds others: alone or with an unknown word it is wrong usage.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	parent := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		_ = cmd.Help()
		return usageError{fmt.Errorf("%s: found no subcommand, allowed are those listed above", cmd.CommandPath())}
	}}
	parent.AddCommand(commands...)
	return parent
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, the commit and what it was built with", Args: cobra.NoArgs,
		Example: "  systole version",
		RunE: func(*cobra.Command, []string) error {
			made := commit
			if committed != "" {
				made += " of " + committed
			}
			_, err := fmt.Fprintf(a.out, "systole %s\ncommit %s\n%s %s/%s\n",
				version, cmp.Or(made, "unknown"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
