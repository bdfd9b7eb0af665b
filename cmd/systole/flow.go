package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func (a *app) flowCommand() *cobra.Command {
	return group("flow", "Apply, validate, list, show, preview, run, pause, export and delete flows",
		a.flowApplyCommand(), a.flowValidateCommand(), a.flowSchemaCommand(), a.flowListCommand(), a.flowExportCommand(), a.flowShowCommand(), a.flowSlotsCommand(),
		a.flowPreviewCommand(), a.flowRunCommand(), a.flowPauseCommand(), a.flowResumeCommand(), a.flowDeleteCommand())
}

func shownDefinitions(read []manifest.Flow) []output.Definition {
	shown := make([]output.Definition, len(read))
	for i, flow := range read {
		shown[i] = output.Definition{DataFlow: flow.DataFlow, File: flow.File, Line: flow.Line}
	}
	return shown
}

func (a *app) flowValidateCommand() *cobra.Command {
	var format output.Format
	var files []string
	cmd := &cobra.Command{
		Use: "validate FILE|DIR|- …", Short: "Check YAML files without a server; every error comes with its file, line and field",
		Example: "  systole flow validate flows/",
		Args:    cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, paths []string) error {
			paths = append(paths, files...)
			if len(paths) == 0 {
				return errNoFiles
			}
			read, err := manifest.ReadPaths(a.in, paths...)
			if err == nil {
				err = checkModules(read)
			}
			if err != nil {
				return err
			}
			return a.printer(format).Definitions(shownDefinitions(read))
		},
	}
	formatFlag(cmd, &format)
	filesFlag(cmd, &files, "file, folder of *.yaml, or - for standard input, as apply has it; may be repeated")
	return cmd
}

// errNoFiles is wrong usage of a command that reads flows from files.
var errNoFiles = usageError{errors.New("--filename: found none, allowed are files, folders of *.yaml, and - for standard input")}

func filesFlag(cmd *cobra.Command, files *[]string, usage string) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, usage)
}

func (a *app) flowListCommand() *cobra.Command {
	var flags apiFlags
	read := func(ctx context.Context, api *client.Client, page int) (iter.Seq2[store.FlowView, error], error) {
		return api.Flows(ctx, flags.group, page), nil
	}
	return listing(a, &cobra.Command{
		Use: "list", Short: "List flows and their state", Example: "  systole flow list -o json",
	}, &flags, read, (*output.Printer).Flows)
}

func (a *app) flowRunCommand() *cobra.Command {
	var flags apiFlags
	var params string
	cmd := &cobra.Command{
		Use: "run FLOW", Short: "Run a flow now, apart from its schedule, and print the id of the run", Args: exactly("FLOW"),
		Example:           `  systole flow run report --params '{"day":"2026-11-22"}'`,
		ValidArgsFunction: a.completeFlows(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			if object := map[string]json.RawMessage(nil); params != "" && (json.Unmarshal([]byte(params), &object) != nil || object == nil) {
				return usageError{errors.New("--params: found no JSON object, allowed is one such as {\"day\":\"2026-11-22\"}")}
			}
			id, err := api.StartRun(cmd.Context(), flags.group, args[0], wire.RunRequest{Params: []byte(params)})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, id)
			return err
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	cmd.Flags().StringVar(&params, "params", "", "parameters of the run, a JSON object")
	return cmd
}

func (a *app) flowDeleteCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "delete FLOW", Short: "Delete a flow; a run in progress finishes, and its history is kept as long as configured", Args: exactly("FLOW"),
		Example:           "  systole flow delete orders-sync",
		ValidArgsFunction: a.completeFlows(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			if err := api.DeleteFlow(cmd.Context(), flags.group, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s deleted\n", args[0])
			return err
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	return cmd
}

func (a *app) flowSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of a flow, for your editor", Args: cobra.NoArgs,
		Example: "  systole flow schema",
		RunE: func(*cobra.Command, []string) error {
			schema, err := manifest.Schema()
			if err != nil {
				return fmt.Errorf("make the schema of flows: %w", err)
			}
			_, err = fmt.Fprintf(a.out, "%s\n", schema)
			return err
		},
	}
}
