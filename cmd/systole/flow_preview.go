package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/store"
)

// previewFlags say what a preview is of.
type previewFlags struct {
	paths []string // read the flow from these, and ask no server
	from  string
	beats time.Duration
	count int
}

func (a *app) flowPreviewCommand() *cobra.Command {
	var flags apiFlags
	var asked previewFlags
	cmd := &cobra.Command{
		Use: "preview FLOW | preview -f FILE|DIR|- [FLOW]", Short: "Show the next slots of a flow, and what heartbeats would do with them",
		Long: `Show the next slots (due times) of a flow: of an applied one, from its present state; or of one in a file, without a server,
as if it were applied at --from. --beats 5m also shows what heartbeats would do, one at --from and then one every 5 minutes:
which slots they run, which slots share the run of a later one, and a warning if they are slower than the flow.`,
		Example: "  systole flow preview orders-sync --beats 5m\n  systole flow preview -f flows/ orders-sync --beats 2h --from 2026-03-29T00:00:00Z --count 20\n  cat flow.yaml | systole flow preview -f - -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			preview, err := a.preview(cmd, flags, asked, strings.Join(args, ""))
			if err != nil {
				return err
			}
			return a.printer(flags.format).Preview(preview)
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	formatFlag(cmd, &flags.format)
	filesFlag(cmd, &asked.paths, "read the flow from a file, folder of *.yaml, or - for standard input; may be repeated")
	cmd.Flags().StringVar(&asked.from, "from", "", "start at this time, such as 2026-03-29T00:00:00Z (default now)")
	cmd.Flags().DurationVar(&asked.beats, "beats", 0, "time between heartbeats, such as 1m; 0 shows slots only")
	cmd.Flags().IntVar(&asked.count, "count", 10, fmt.Sprintf("how many slots, and heartbeats, to show: 1 to %d", store.MaxPreview))
	return cmd
}

func (a *app) preview(cmd *cobra.Command, flags apiFlags, asked previewFlags, name string) (store.Preview, error) {
	from, err := asked.start(time.Now())
	if err != nil {
		return store.Preview{}, err
	}
	if len(asked.paths) > 0 {
		group := ""
		if cmd.Flags().Changed("group") {
			group = flags.group
		}
		flow, err := a.flowOfFiles(asked.paths, group, name)
		if err != nil {
			return store.Preview{}, err
		}
		return named(flow.Preview(from, asked.beats, asked.count))
	}
	if name == "" {
		return store.Preview{}, usageError{errors.New("systole flow preview: found no flow, allowed are the name of one that is applied, and --filename")}
	}
	api, err := a.client(flags)
	if err != nil {
		return store.Preview{}, err
	}
	flow, err := api.Flow(cmd.Context(), flags.group, name)
	if err != nil {
		return store.Preview{}, err
	}
	return named(flow.Preview(from, asked.beats, asked.count))
}

// start is where the preview begins: whole seconds, as the table shows them, unless more is asked for.
func (f previewFlags) start(now time.Time) (time.Time, error) {
	if f.from == "" {
		return now.Truncate(time.Second), nil
	}
	from, err := time.Parse(time.RFC3339, f.from)
	if err != nil {
		return time.Time{}, usageError{fmt.Errorf("--from: found %q, allowed is a time such as 2026-03-29T00:00:00Z", f.from)}
	}
	return from, nil
}

// named gives an argument of Preview the name of its flag.
func named(preview store.Preview, err error) (store.Preview, error) {
	var field store.FieldError
	if errors.As(err, &field) {
		field.Field = "--" + field.Field
		return preview, field
	}
	return preview, err
}

// flowOfFiles is the one flow of some files that has this name and is of this group; empty stands for any.
func (a *app) flowOfFiles(paths []string, group, name string) (store.DataFlow, error) {
	read, err := manifest.ReadPaths(a.in, paths...)
	if err != nil {
		return store.DataFlow{}, err
	}
	var fit, all []string
	var found store.DataFlow
	for _, flow := range read {
		full := flow.Group + "/" + flow.Name
		all = append(all, full)
		if (name == "" || flow.Name == name) && (group == "" || flow.Group == group) {
			fit, found = append(fit, full), flow.DataFlow
		}
	}
	switch len(fit) {
	case 1:
		return found, nil
	case 0:
		return store.DataFlow{}, usageError{fmt.Errorf("FLOW: found %q, allowed is one of the files' flows: %s", name, strings.Join(all, ", "))}
	}
	return store.DataFlow{}, usageError{fmt.Errorf("FLOW: found %d flows in the files, allowed is one; name it, or its --group: %s", len(fit), strings.Join(fit, ", "))}
}
