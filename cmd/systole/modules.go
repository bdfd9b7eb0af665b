package main

import (
	"os"
	"path/filepath"

	"github.com/systole-run/systole/executor/wasm"
	"github.com/systole-run/systole/internal/manifest"
)

// checkModules says which flows name a module that cannot be run, where it lies beside their file. One that does not is
// the worker's to find.
func checkModules(flows []manifest.Flow) error {
	var wrong manifest.Errors
	for _, flow := range flows {
		if flow.WASM == nil {
			continue
		}
		beside := filepath.Join(filepath.Dir(flow.File), flow.WASM.Module)
		if info, err := os.Stat(beside); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if err := wasm.CheckFile(beside); err != nil {
			wrong = append(wrong, manifest.Error{
				File: flow.File, Line: flow.Line, Column: 1, Field: "wasm.module", Found: beside + ": " + err.Error(), Allowed: "a module that can be run",
			})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}
