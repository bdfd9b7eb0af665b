package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

// settleTime is how long a folder has to be quiet before it is read: editors write a file in several steps.
const settleTime = 100 * time.Millisecond

// flowWatch applies the flows of a folder, now and whenever a file in it changes. While anything in the folder is
// wrong, nothing of it is applied and what was applied before stands. A flow that is gone from the folder is deleted.
type flowWatch struct {
	dir     string
	store   *store.Store
	check   func(store.DataFlow) error
	log     *slog.Logger
	files   *fsnotify.Watcher
	source  string // as apply would name it
	applied map[store.FlowRef]bool
}

// newFlowWatch watches dir, whose flows have to pass the check; with an empty one it does nothing. Flows that are wrong at the start are an error.
func newFlowWatch(ctx context.Context, dir string, st *store.Store, check func(store.DataFlow) error, log *slog.Logger) (*flowWatch, error) {
	w := &flowWatch{dir: dir, store: st, check: check, log: log, source: sourceOf([]string{dir}), applied: make(map[store.FlowRef]bool)}
	if dir == "" {
		return w, nil
	}
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	w.files = files
	if err := files.Add(dir); err != nil { // before it is read, or what changes in between would be missed
		return nil, errors.Join(fmt.Errorf("watch %s: %w", dir, err), files.Close())
	}
	if err := w.apply(ctx); err != nil && ctx.Err() == nil { // however long checking takes; who is told to end meanwhile has not failed
		return nil, errors.Join(err, files.Close())
	}
	return w, nil
}

func (w *flowWatch) run(ctx context.Context) error {
	if w.dir == "" {
		return nil
	}
	defer w.files.Close()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.files.Events:
			quiet.Reset(settleTime)
		case err := <-w.files.Errors:
			w.log.Warn("watching the folder of flows", logkey.File, w.dir, logkey.Error, err)
		case <-quiet.C:
			if err := w.apply(ctx); err != nil {
				w.log.Error("flows not applied, the old ones stand", logkey.File, w.dir, logkey.Error, err)
			}
		}
	}
}

func (w *flowWatch) apply(ctx context.Context) error {
	flows, err := manifest.ReadPath(w.dir)
	if err != nil {
		return err
	}
	for _, flow := range flows {
		if err := w.check(flow.DataFlow); err != nil {
			return fmt.Errorf("%s:%d: flow %s cannot run: %w", flow.File, flow.Line, flow.Name, err)
		}
	}
	changes, err := w.store.PutFlows(ctx, w.source, definitions(flows))
	if err != nil {
		return fmt.Errorf("apply flows: %w", err)
	}
	found := make(map[store.FlowRef]bool, len(changes))
	for _, change := range changes {
		found[store.FlowRef{Group: change.Group, Name: change.Name}] = true
	}
	for flow := range w.applied {
		if found[flow] {
			continue
		}
		err := w.store.DeleteFlowFrom(ctx, w.source, flow.Group, flow.Name)
		switch {
		case errors.Is(err, store.ErrNotFound): // someone else has deleted it, or taken it over
		case err != nil:
			return fmt.Errorf("delete flow %s: %w", flow.Name, err)
		default:
			changes = append(changes, store.FlowChange{Group: flow.Group, Name: flow.Name, Result: store.FlowDeleted})
		}
	}
	w.applied = found
	counts := output.Summarize(changes)
	w.log.Info("flows applied", logkey.File, w.dir, "created", counts.Created, "changed", counts.Changed,
		"unchanged", counts.Unchanged, "deleted", counts.Deleted)
	return nil
}
