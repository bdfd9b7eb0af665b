package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// module is one that a binary is built of.
type module struct {
	path, version string
	licences      []string // SPDX identifiers
	texts         []text   // of its licence and notices
}

type text struct {
	name string
	data []byte
}

// moduleFolders says where each module of the repository is on this machine, by path and version.
func moduleFolders(root string) (map[string]string, error) {
	list := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}} {{.Dir}}", "all")
	list.Dir = root
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	folders := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			folders[fields[0]+"@"+fields[1]] = fields[2]
		}
	}
	return folders, nil
}

// modulesOf reads out of a binary what it is built of, Go's own library first. The order is always the same.
func modulesOf(binary string, folders map[string]string) ([]module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	if info.GoVersion != runtime.Version() {
		return nil, fmt.Errorf("%s was built by %s, and this is %s, whose licence would be packed", binary, info.GoVersion, runtime.Version())
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	standard, err := readModule("std", strings.TrimPrefix(info.GoVersion, "go"), strings.TrimSpace(string(root)))
	if err != nil {
		return nil, err
	}
	modules := []module{standard}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		folder, there := folders[dep.Path+"@"+dep.Version]
		if !there {
			return nil, fmt.Errorf("module %s %s is in the binary and not on this machine; go mod download brings it", dep.Path, dep.Version)
		}
		m, err := readModule(dep.Path, dep.Version, folder)
		if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules[1:], func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return modules, nil
}

var (
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|unlicense|patents)([.-].*)?$`)
	beside      = regexp.MustCompile(`(?i)^(notice|patents)`) // go with a licence and are none
)

const allowed = "allowed are Apache-2.0, MIT, BSD and ISC"

// readModule finds a module's licences. One that is missing or not known to be permissive is an error.
func readModule(path, version, folder string) (module, error) {
	m := module{path: path, version: version}
	files, err := os.ReadDir(folder)
	if err != nil {
		return m, err
	}
	for _, file := range files {
		if file.IsDir() || !licenceFile.MatchString(file.Name()) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			return m, err
		}
		m.texts = append(m.texts, text{file.Name(), data})
		id := licenceOf(data)
		if id == "" && !beside.MatchString(file.Name()) {
			return m, fmt.Errorf("module %s %s: found a licence in %s that is not known here, %s", path, version, file.Name(), allowed)
		}
		if id != "" && !slices.Contains(m.licences, id) {
			m.licences = append(m.licences, id)
		}
	}
	if len(m.licences) == 0 {
		return m, fmt.Errorf("module %s %s: found no licence among %d files, %s", path, version, len(files), allowed)
	}
	return m, nil
}

// licenceOf recognises permissive licences by what only they say, and gives none for others.
func licenceOf(data []byte) string {
	words := strings.Join(strings.Fields(string(data)), " ")
	says := func(part string) bool { return strings.Contains(words, part) }
	switch {
	case says("Apache License") && says("Version 2.0"):
		return "Apache-2.0"
	case says("Permission is hereby granted, free of charge, to any person obtaining a copy"):
		return "MIT"
	case says("Redistribution and use in source and binary forms") && (says("Neither the name") || says("names of its contributors")):
		return "BSD-3-Clause"
	case says("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	case says("Permission to use, copy, modify, and/or distribute this software") || says("Permission to use, copy, modify, and distribute this software"):
		return "ISC"
	}
	return ""
}

// notices is the text of all licences, module by module.
func notices(modules []module) []byte {
	var all bytes.Buffer
	all.WriteString("Systole is under the Apache License 2.0 (LICENSE). Compiled into it are the modules below, under licences of their own.\n")
	for _, m := range modules {
		for _, t := range m.texts {
			fmt.Fprintf(&all, "\n%s\n%s %s: %s\n\n%s\n", strings.Repeat("=", 80), m.path, m.version, t.name, bytes.TrimSpace(t.data))
		}
	}
	return all.Bytes()
}
