package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

func TestAFileThatComesWhileAFolderOfFlowsIsReadForTheFirstTimeIsAppliedToo(t *testing.T) {
	t.Parallel()
	client, prefix := testenv.Redis(t)
	st, err := store.New(client, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{"good.yaml": goodFlow})
	// The check comes after the files were read.
	once := sync.OnceFunc(func() { replace(t, filepath.Join(dir, "report.yaml"), demandFlow) })
	watch, err := newFlowWatch(t.Context(), dir, st, func(store.DataFlow) error { once(); return nil }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watch.run(ctx) }()
	pollUntil(t, "the second flow is there", func() bool {
		_, err := st.Flow(t.Context(), store.DefaultGroup, "report")
		return err == nil
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhoIsToldToEndWhileAFolderOfFlowsIsReadForTheFirstTimeHasNotFailed(t *testing.T) {
	t.Parallel()
	client, prefix := testenv.Redis(t)
	st, err := store.New(client, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	check := func(store.DataFlow) error { cancel(); return nil }
	watch, err := newFlowWatch(ctx, folder(t, map[string]string{"good.yaml": goodFlow}), st, check, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.run(ctx); err != nil {
		t.Error(err)
	}
}
