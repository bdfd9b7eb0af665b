package store

import (
	"fmt"
	"path"
	"strings"
)

// WASMSpec runs a WebAssembly module that asks the system by WASI preview 1. It has memory, time, random numbers and its
// standard streams, and beyond that what is listed here: no file, no clock, and never a network.
type WASMSpec struct {
	// Module is the module's file within the worker's folder of modules.
	Module string `json:"module"`
	// Args follow the module's name.
	Args []string `json:"args,omitempty"`
	// Env is what the module finds in its environment: values, or references to secrets. Names that start with SYSTOLE_ are
	// the runtime's own.
	Env map[string]string `json:"env,omitempty"`
	// Memory is how much the module may have, such as 64MiB; as much as the operator allows if left out.
	Memory Size `json:"memory,omitempty"`
	// Folders are the worker's folders that the module may read, by the path at which it finds each.
	Folders map[string]string `json:"folders,omitempty"`
	// Clock lets the module know the time; without it, its clock starts at the same time in each run.
	Clock bool `json:"clock,omitempty"`
}

// minWASMMemory is one page of WebAssembly, and maxWASMMemory all that can be addressed.
const (
	minWASMMemory = 64 << 10
	maxWASMMemory = 4 << 30
)

func (s WASMSpec) validate(invalid *InvalidError) {
	if !localPath(s.Module) {
		invalid.add("wasm.module", s.Module, "the path of a file within the worker's folder of modules, such as hello.wasm")
	}
	for i, word := range s.Args {
		if strings.ContainsRune(word, 0) {
			invalid.add(fmt.Sprintf("wasm.args[%d]", i), word, "text without NUL bytes")
		}
	}
	validateEnv(invalid, "wasm.env", s.Env)
	if s.Memory != 0 && (s.Memory < minWASMMemory || s.Memory > maxWASMMemory) {
		invalid.add("wasm.memory", s.Memory.String(), "64KiB to 4GiB, such as 64MiB")
	}
	for _, guest := range sortedKeys(s.Folders) {
		field := "wasm.folders." + guest
		if !cleanAbsolute(guest) {
			invalid.add(field, guest, "a clean absolute path at which the module finds the folder, such as /data")
		}
		if !cleanAbsolute(s.Folders[guest]) {
			invalid.add(field, s.Folders[guest], "the clean absolute path of a folder on the worker")
		}
	}
}

// localPath reports whether a path has one spelling and stays within its folder.
func localPath(name string) bool {
	return name != "" && name != "." && path.Clean(name) == name && !path.IsAbs(name) && name != ".." && !strings.HasPrefix(name, "../") &&
		!strings.ContainsFunc(name, isControl)
}

func cleanAbsolute(name string) bool {
	return path.IsAbs(name) && path.Clean(name) == name && !strings.ContainsFunc(name, isControl)
}
