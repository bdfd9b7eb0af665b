package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

// applyFlags are what apply is told.
type applyFlags struct {
	apiFlags
	paths         []string
	source        string
	dryRun, prune bool
}

func (a *app) flowApplyCommand() *cobra.Command {
	var flags applyFlags
	cmd := &cobra.Command{
		Use: "apply -f FILE|DIR|-", Short: "Create and change flows from YAML files, and show what changes; if anything in them is wrong, nothing is applied",
		Long: `apply creates and changes the flows in YAML files, each completely or not at all, and shows which fields change. An
unchanged flow keeps its schedule and its history.

Systole remembers each flow's source: the value of --source, or else the paths after -f as given, sorted. So apply the same
files from the same place, or name their source: two folders that are both called "flows" are one source, and "flows" and
"/srv/flows" are two. Flows read from standard input have a source only if --source names it.

A flow that came from this source and is no longer in its files is orphaned: it is listed, and keeps running. --prune deletes
orphaned flows and no others, once everything else has been applied. If the files contain no flow at all, it refuses.`,
		Example: "  systole flow apply -f flows/ --dry-run\n  systole flow apply -f flows/ --prune\n  cat flow.yaml | systole flow apply -f -",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s: found %q, allowed are files and folders after -f", cmd.CommandPath(), args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.applyFlows(cmd.Context(), flags) },
	}
	flags.add(cmd)
	formatFlag(cmd, &flags.format)
	filesFlag(cmd, &flags.paths, "file, folder of *.yaml, or - for standard input; may be repeated")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only show what would change")
	cmd.Flags().BoolVar(&flags.prune, "prune", false, "delete flows that were applied from the same source and are not in the files")
	cmd.Flags().StringVar(&flags.source, "source", "", "name of the place the flows come from, up to 200 bytes (default: the paths after -f, as given)")
	return cmd
}

func (a *app) applyFlows(ctx context.Context, flags applyFlags) error {
	if len(flags.paths) == 0 {
		return errNoFiles
	}
	if err := store.CheckSource(flags.source); err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	source := flags.source
	if source == "" {
		source = sourceOf(flags.paths)
	}
	if flags.prune && source == "" {
		return usageError{errors.New("--source: found none, allowed with --prune and standard input is a name of where the flows are from")}
	}
	read, err := manifest.ReadPaths(a.in, flags.paths...)
	if err == nil {
		err = checkModules(read)
	}
	if err != nil {
		return err
	}
	if flags.prune && len(read) == 0 {
		return fmt.Errorf("--prune: found no flow in %s, allowed is one at least: it would delete all that are from %q", strings.Join(flags.paths, ", "), source)
	}
	api, err := a.client(flags.apiFlags)
	if err != nil {
		return err
	}
	files := fileSet{api: api, source: source, dryRun: flags.dryRun, prune: flags.prune, flows: definitions(read)}
	progress := output.NewProgress(a.err, "Applying flows", len(read))
	changes, err := files.apply(ctx, progress)
	progress.Clear()
	if err != nil && len(changes) == 0 {
		return err
	}
	applied := output.Applied{Source: source, DryRun: flags.dryRun, Results: changes}
	return errors.Join(a.printer(flags.format).Changes(applied), err)
}

// sourceOf names the source of paths: they themselves, cleaned and sorted. One that is too long keeps its start and the
// hash of it all.
func sourceOf(paths []string) string {
	cleaned := make([]string, len(paths))
	for i, path := range paths {
		if path == "-" {
			return ""
		}
		cleaned[i] = filepath.ToSlash(filepath.Clean(path))
	}
	slices.Sort(cleaned)
	source := strings.Join(slices.Compact(cleaned), ",")
	if store.CheckSource(source) == nil {
		return source
	}
	const start = 100
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(source)))
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(source[:min(start, len(source))], "?"))
	return plain + "~" + hash[:32]
}

func definitions(read []manifest.Flow) []store.DataFlow {
	flows := make([]store.DataFlow, len(read))
	for i, flow := range read {
		flows[i] = flow.DataFlow
	}
	return flows
}

// fileSet is all flows of a source, as its files have them.
type fileSet struct {
	api           *client.Client
	source        string // empty: of no source, and then nothing is orphaned
	dryRun, prune bool
	flows         []store.DataFlow
}

// apply applies the flows, and then deals with what the files no longer have. After an error it gives what was done before.
func (s fileSet) apply(ctx context.Context, progress *output.Progress) ([]store.FlowChange, error) {
	progress.Done(0)
	changes, err := s.api.Apply(ctx, client.Apply{Source: s.source, DryRun: s.dryRun, Progress: progress.Done}, s.flows)
	if err != nil || s.source == "" {
		return changes, err
	}
	orphans, err := s.orphans(ctx)
	if err != nil {
		return changes, fmt.Errorf("find orphaned flows: %w", err)
	}
	for _, orphan := range orphans {
		change := store.FlowChange{Group: orphan.Group, Name: orphan.Name, Result: store.FlowOrphaned}
		switch {
		case s.prune && s.dryRun:
			change.Result = store.FlowDeleted
		case s.prune:
			deleted, err := s.api.Prune(ctx, s.source, orphan)
			if err != nil {
				return changes, fmt.Errorf("delete flow %s of group %s: %w", orphan.Name, orphan.Group, err)
			}
			if !deleted {
				continue // it is gone, or someone else's by now
			}
			change.Result = store.FlowDeleted
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// orphans are the flows that came from this source and are not in its files, in order.
func (s fileSet) orphans(ctx context.Context) ([]store.FlowRef, error) {
	wanted := make(map[store.FlowRef]bool, len(s.flows))
	for _, flow := range s.flows {
		wanted[store.FlowRef{Group: flow.Group, Name: flow.Name}] = true
	}
	found, err := take(s.api.Applied(ctx, s.source), 0)
	if err != nil {
		return nil, err
	}
	orphans := slices.DeleteFunc(found, func(flow store.FlowRef) bool { return wanted[flow] })
	slices.SortFunc(orphans, func(a, b store.FlowRef) int {
		return strings.Compare(a.Group+"/"+a.Name, b.Group+"/"+b.Name)
	})
	return orphans, nil
}
