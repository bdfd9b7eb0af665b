package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/output"
)

func (a *app) flowExportCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "export", Short: "Print the definitions of a group's flows as YAML that apply accepts, without their state", Args: cobra.NoArgs,
		Example: "  systole flow export > flows.yaml\n  systole flow export | systole flow apply -f - --server https://systole.example",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			printer := a.printer(output.YAML)
			var unreadable []error
			for flow, err := range api.Flows(cmd.Context(), flags.group, wire.MaxPage) {
				if err != nil {
					return err
				}
				if flow.Unreadable != "" {
					unreadable = append(unreadable, fmt.Errorf("flow %s cannot be read, and is left out: %s", flow.Name, flow.Unreadable))
					continue
				}
				if _, err := fmt.Fprintln(a.out, "---"); err != nil {
					return err
				}
				if err := printer.Value(flow.DataFlow); err != nil {
					return err
				}
			}
			return errors.Join(unreadable...)
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	return cmd
}
