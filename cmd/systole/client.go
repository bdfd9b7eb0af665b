package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

// apiFlags are the flags of every command that talks to the admin API.
type apiFlags struct {
	server    string
	tokenFile string
	tls       tlsFlags
	group     string        // empty for commands that concern all groups
	format    output.Format // of those that show something
	limit     int           // of listings
}

func (f *apiFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.server, "server", "", "address of the admin API (SYSTOLE_SERVER, default http://127.0.0.1:8080)")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file that holds the API token (or set SYSTOLE_API_TOKEN)")
	f.tls.add(cmd)
}

func (f *apiFlags) addGroup(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.group, "group", store.DefaultGroup, "group of flows")
}

// formatFlag adds the flag of every command that shows something.
func formatFlag(cmd *cobra.Command, format *output.Format) {
	*format = output.Table
	cmd.Flags().VarP((*formatValue)(format), "output", "o", "table, json or yaml")
	completeFormats(cmd)
}

// formatValue is a format as a flag, refused where the command line is read.
type formatValue output.Format

func (f *formatValue) String() string { return string(*f) }
func (f *formatValue) Type() string   { return "format" }

func (f *formatValue) Set(text string) (err error) {
	*(*output.Format)(f), err = output.ParseFormat(text)
	return err
}

// client makes a client as the flags and the environment say.
func (a *app) client(f apiFlags) (*client.Client, error) {
	token, err := a.secretFrom(f.tokenFile, "SYSTOLE_API_TOKEN")
	if err != nil {
		return nil, err
	}
	if f.group != "" {
		if err := checkGroup(f.group); err != nil {
			return nil, err
		}
	}
	if f.limit < 0 {
		return nil, usageError{fmt.Errorf("--limit: found %d, allowed are 0, for all, and more", f.limit)}
	}
	via, err := f.tls.transport()
	if err != nil {
		return nil, err
	}
	api, err := client.New(client.Config{Server: cmp.Or(f.server, a.getenv("SYSTOLE_SERVER")), Token: token, Via: via})
	if err != nil {
		return nil, usageError{err}
	}
	return api, nil
}

// secretFrom reads a token from a file, else from the environment; never from an argument, which others could see.
func (a *app) secretFrom(file, variable string) (string, error) {
	if file == "" {
		return checkToken(variable, a.getenv(variable))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", usageError{fmt.Errorf("--token-file: %w", err)}
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", usageError{fmt.Errorf("--token-file: found nothing in %s, allowed is a file that holds a token", file)}
	}
	return checkToken("--token-file", token)
}

// checkToken refuses what no header can carry, without showing it.
func checkToken(from, token string) (string, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usageError{fmt.Errorf("%s: found spaces or control characters in the token, allowed is visible ASCII", from)}
	}
	return token, nil
}

func checkGroup(group string) error { return checkName("--group", group) }

// checkName refuses what is no name of a group or flow.
func checkName(flag, name string) error {
	if store.ValidName(name) {
		return nil
	}
	return usageError{fmt.Errorf("%s: found %q, allowed are 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit", flag, name)}
}

func (a *app) printer(format output.Format) *output.Printer { return output.New(a.out, format) }

// exactly asks for a number of arguments, each with a name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return errors.New(cmd.CommandPath() + ": found " + fmt.Sprint(len(args)) + " arguments, allowed are exactly: " + strings.Join(names, " "))
		}
		return nil
	}
}
