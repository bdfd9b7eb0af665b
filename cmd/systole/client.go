package main

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
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
	group     string
}

func (f *apiFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.server, "server", "", "address of the admin API (SYSTOLE_SERVER, default http://127.0.0.1:8080)")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file that holds the API token (or set SYSTOLE_API_TOKEN)")
	cmd.Flags().StringVar(&f.group, "group", store.DefaultGroup, "group of flows")
}

// client makes a client as the flags and the environment say.
func (f *apiFlags) client() (*client.Client, error) {
	token, err := secretFrom(f.tokenFile, "SYSTOLE_API_TOKEN")
	if err != nil {
		return nil, err
	}
	if !store.ValidName(f.group) {
		return nil, usageError{fmt.Errorf("--group: found %q, allowed are 1 to 63 of a-z, 0-9, _ and -", f.group)}
	}
	api, err := client.New(client.Config{Server: cmp.Or(f.server, os.Getenv("SYSTOLE_SERVER")), Token: token})
	if err != nil {
		return nil, usageError{err}
	}
	return api, nil
}

// secretFrom reads a token from a file, else from the environment; never from an argument, which others could see.
func secretFrom(file, variable string) (string, error) {
	if file == "" {
		return os.Getenv(variable), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", usageError{fmt.Errorf("--token-file: %w", err)}
	}
	return strings.TrimSpace(string(data)), nil
}

// listFlags are the flags of every listing.
type listFlags struct {
	apiFlags
	format string
	limit  int
}

func (f *listFlags) add(cmd *cobra.Command) {
	f.apiFlags.add(cmd)
	cmd.Flags().StringVarP(&f.format, "output", "o", "table", "table, json or yaml")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "how many to show at most; 0 for all")
}

func (a *app) printer(format string) (*output.Printer, error) {
	parsed, err := output.ParseFormat(format)
	if err != nil {
		return nil, usageError{err}
	}
	return output.New(a.out, parsed), nil
}

// take collects up to limit elements, or all if limit is 0.
func take[T any](all iter.Seq2[T, error], limit int) ([]T, error) {
	var taken []T
	for element, err := range all {
		if err != nil {
			return nil, err
		}
		taken = append(taken, element)
		if limit > 0 && len(taken) >= limit {
			break
		}
	}
	return taken, nil
}

// exactly asks for a number of arguments, each with a name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return errors.New(cmd.CommandPath() + ": found " + fmt.Sprint(len(args)) + " arguments, allowed are exactly: " + strings.Join(names, " "))
		}
		return nil
	}
}
