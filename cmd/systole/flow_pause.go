package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/wire"
)

func (a *app) flowPauseCommand() *cobra.Command {
	var flags apiFlags
	var reason string
	cmd := &cobra.Command{
		Use: "pause FLOW", Short: "Pause a flow: no slot of it runs until it is resumed; a run in progress finishes", Args: exactly("FLOW"),
		Example:           "  systole flow pause orders-sync --reason 'the warehouse is moving'",
		ValidArgsFunction: a.completeFlows(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			if err := checkReason(reason); err != nil {
				return err
			}
			if err := api.PauseFlow(cmd.Context(), flags.group, args[0], reason); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s paused\n", args[0])
			return err
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) flowResumeCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "resume FLOW", Short: "Resume a paused flow: it runs again from the next heartbeat on", Args: exactly("FLOW"),
		Example:           "  systole flow resume orders-sync",
		ValidArgsFunction: a.completeFlows(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			if err := api.ResumeFlow(cmd.Context(), flags.group, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s resumed\n", args[0])
			return err
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	return cmd
}

// reasonFlag adds the flag of commands whose doing is worth an explanation.
func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", fmt.Sprintf("why, for whoever looks later; up to %d bytes", wire.MaxReason))
}

func checkReason(reason string) error {
	if len(reason) <= wire.MaxReason {
		return nil
	}
	return usageError{fmt.Errorf("--reason: found %d bytes, allowed are up to %d", len(reason), wire.MaxReason)}
}
