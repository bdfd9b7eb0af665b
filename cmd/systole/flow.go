package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func (a *app) flowCommand() *cobra.Command {
	return group("flow", "Apply, check, look at, preview, run and delete flows",
		a.flowApplyCommand(), a.flowValidateCommand(), a.flowListCommand(), a.flowShowCommand(), a.flowPreviewCommand(), a.flowRunCommand(), a.flowDeleteCommand())
}

func (a *app) flowApplyCommand() *cobra.Command {
	var flags apiFlags
	var paths []string
	cmd := &cobra.Command{
		Use: "apply -f FILE|DIR|-", Short: "Create or change the flows of YAML files; nothing is applied if anything in them is wrong",
		Example: "  systole flow apply -f flows/\n  cat flow.yaml | systole flow apply -f -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(paths) == 0 {
				return usageError{errors.New("--filename: found none, allowed are files, folders of *.yaml, and - for standard input")}
			}
			read, err := manifest.ReadPaths(a.in, paths...)
			if err != nil {
				return err
			}
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			changes, err := api.Apply(cmd.Context(), definitions(read))
			if err != nil && len(changes) == 0 {
				return err
			}
			return errors.Join(a.printer(flags.format).Changes(shownChanges(changes)), err)
		},
	}
	flags.add(cmd)
	formatFlag(cmd, &flags.format)
	cmd.Flags().StringArrayVarP(&paths, "filename", "f", nil, "file, folder of *.yaml, or - for standard input; may be repeated")
	return cmd
}

func definitions(read []manifest.Flow) []store.DataFlow {
	flows := make([]store.DataFlow, len(read))
	for i, flow := range read {
		flows[i] = flow.DataFlow
	}
	return flows
}

func shownChanges(changes []wire.FlowChange) []output.Change {
	shown := make([]output.Change, len(changes))
	for i, change := range changes {
		shown[i] = output.Change(change)
	}
	return shown
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
	cmd := &cobra.Command{
		Use: "validate FILE|DIR|- …", Short: "Check YAML files without a server; every error is named with file, line and field",
		Example: "  systole flow validate flows/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, paths []string) error {
			read, err := manifest.ReadPaths(a.in, paths...)
			if err != nil {
				return err
			}
			return a.printer(format).Definitions(shownDefinitions(read))
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

func (a *app) flowListCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List flows and where they stand", Args: cobra.NoArgs,
		Example: "  systole flow list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			flows, err := take(api.Flows(cmd.Context(), flags.group), flags.limit)
			if err != nil {
				return err
			}
			return a.printer(flags.format).Flows(flows)
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	formatFlag(cmd, &flags.format)
	flags.addLimit(cmd)
	return cmd
}

func (a *app) flowShowCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "show FLOW", Short: "Show one flow: its definition, its next slot and its last run", Args: exactly("FLOW"),
		Example: "  systole flow show orders-sync -o yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			flow, err := api.Flow(cmd.Context(), flags.group, args[0])
			if err != nil {
				return err
			}
			if flags.format == output.Table {
				return a.printer(flags.format).Flows([]store.FlowView{flow})
			}
			return a.printer(flags.format).Value(flow)
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	formatFlag(cmd, &flags.format)
	return cmd
}

func (a *app) flowRunCommand() *cobra.Command {
	var flags apiFlags
	var params string
	cmd := &cobra.Command{
		Use: "run FLOW", Short: "Run a flow now, apart from its schedule; prints the id of the run", Args: exactly("FLOW"),
		Example: `  systole flow run report --params '{"day":"2026-11-22"}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			if params != "" && !json.Valid([]byte(params)) {
				return usageError{errors.New("--params: found no JSON, allowed is an object such as {\"day\":\"2026-11-22\"}")}
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
	cmd.Flags().StringVar(&params, "params", "", "a JSON object that the run gets")
	return cmd
}

func (a *app) flowDeleteCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "delete FLOW", Short: "Delete a flow; a run under way finishes, and its history stays until it is past retention", Args: exactly("FLOW"),
		Example: "  systole flow delete orders-sync",
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
