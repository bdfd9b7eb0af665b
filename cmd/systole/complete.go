package main

import (
	"cmp"
	"context"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

// Bounds of what completing a word may take: whoever types waits for it.
const (
	completeWithin = 2 * time.Second
	mostCandidates = 200
	mostLookedAt   = 1000
)

// completion gives candidates for the next argument. What goes wrong is silent: a shell has no place to say it.
type completion func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// completeFlows offers the names of flows for the first argument.
func (a *app) completeFlows(flags *apiFlags) completion {
	return once(complete(a, flags, func(ctx context.Context, api *client.Client) iter.Seq2[store.FlowView, error] {
		return api.Flows(ctx, flags.group, mostLookedAt)
	}, func(flow store.FlowView) string { return flow.Name }))
}

// completeRuns offers the ids of runs with a status that fits for the first argument.
func (a *app) completeRuns(flags *apiFlags, fits func(store.Status) bool) completion {
	return once(complete(a, flags, func(ctx context.Context, api *client.Client) iter.Seq2[store.Run, error] {
		return api.Runs(ctx, flags.group, store.RunFilter{Limit: mostCandidates})
	}, func(run store.Run) string {
		if !fits(run.Status) {
			return ""
		}
		return run.ID
	}))
}

func anyStatus(store.Status) bool { return true }

// completeDead offers the runs of occurrences that failed for good, each once.
func (a *app) completeDead(flags *apiFlags) completion {
	return complete(a, flags, func(ctx context.Context, api *client.Client) iter.Seq2[store.Run, error] {
		return api.Dead(ctx, flags.group, mostCandidates)
	}, func(run store.Run) string { return run.ID })
}

// once offers nothing after the first argument.
func once(next completion) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return next(cmd, args, typed)
	}
}

// complete offers what word gives for what the API lists, as far as it goes on from what was typed.
func complete[T any](a *app, flags *apiFlags, list func(context.Context, *client.Client) iter.Seq2[T, error], word func(T) string) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		api, err := a.client(*flags)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), cmp.Or(a.typing, completeWithin))
		defer cancel()
		given := make(map[string]bool, len(args))
		for _, arg := range args {
			given[arg] = true
		}
		var candidates []string
		looked := 0
		for entry, err := range list(ctx, api) {
			candidate := word(entry)
			if looked++; err != nil || looked > mostLookedAt || len(candidates) == mostCandidates {
				break
			}
			if name, _, _ := strings.Cut(candidate, "~"); store.ValidName(name) && strings.HasPrefix(candidate, typed) && !given[candidate] {
				candidates = append(candidates, candidate)
			}
		}
		return candidates, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeWords offers fixed values of a flag.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	// It fails only for a flag that is not there, or that has candidates already.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

func completeFormats(cmd *cobra.Command) {
	completeWords(cmd, "output", string(output.Table), string(output.JSON), string(output.YAML))
}
