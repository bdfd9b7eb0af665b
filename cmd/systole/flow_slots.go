package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/wire"
)

func (a *app) flowSlotsCommand() *cobra.Command {
	var flags apiFlags
	var at string
	cmd := &cobra.Command{
		Use: "slots FLOW", Short: "Show the outcome of a flow's slots, newest first, or why one of them did not run", Args: exactly("FLOW"),
		Example:           "  systole flow slots orders-sync\n  systole flow slots orders-sync --at 14:05",
		ValidArgsFunction: a.completeFlows(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			if at == "" {
				if flags.limit > wire.MaxPage || flags.limit == 0 {
					flags.limit = wire.MaxPage
				}
				slots, err := api.Slots(cmd.Context(), flags.group, args[0], flags.limit)
				if err != nil {
					return err
				}
				return a.printer(flags.format).Slots(slots)
			}
			moment, err := parseMoment(at, time.Now())
			if err != nil {
				return usageError{fmt.Errorf("--at: %w", err)}
			}
			slots, err := api.SlotAt(cmd.Context(), flags.group, args[0], moment)
			if err != nil {
				return err
			}
			if len(slots) != 1 {
				return fmt.Errorf("the server gave %d slots for one time", len(slots))
			}
			return a.printer(flags.format).Slot(slots[0])
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	formatFlag(cmd, &flags.format)
	cmd.Flags().IntVar(&flags.limit, "limit", 100, "how many to show at most; 0 for 1000, the maximum")
	cmd.Flags().StringVar(&at, "at", "", "only the slot at this time: RFC 3339, or 15:04 for today in this machine's time zone")
	return cmd
}

// parseMoment reads a time in RFC 3339, or an hour and minute of the day of now, in the zone of now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if moment, err := time.Parse(time.RFC3339, text); err == nil {
		return moment, nil
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("found %q, allowed are RFC 3339, such as 2026-11-22T14:05:00Z, and a time of today, such as 14:05", text)
	}
	return time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location()), nil
}
