package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Options say where the settings come from. The zero Options read the environment only, for all roles.
type Options struct {
	// File is the path of the YAML file; empty for none.
	File string
	// Environ gives the environment as NAME=value; nil means os.Environ. References of the form env:NAME use it too.
	Environ func() []string
	// Flags are the parsed flags; nil for none. A flag that was given sets the key that FlagKeys has for its name.
	Flags    *pflag.FlagSet
	FlagKeys map[string]string
	// Roles are the roles that will run; none means all of them. Secrets and files of other roles are not read, since
	// they need not be on this machine; all else is checked the same for everyone.
	Roles []Role
}

// Load reads all layers and checks the result. Its error is an *InvalidError with everything that is wrong; the Config
// is to be used only without one, so that after a failed Load on reload the old Config stands.
func Load(opts Options) (Config, error) {
	l := newLoader(opts)
	l.decode(l.layers())
	l.resolve()
	l.check()
	if len(l.problems) > 0 {
		return Config{}, &InvalidError{l.problems}
	}
	return l.cfg, nil
}

// loader is one Load under way.
type loader struct {
	Options
	names
	cfg      Config
	lines    map[string]int  // of keys in the file
	exposed  bool            // whether others than its owner can read the file
	faulty   map[string]bool // keys with a problem, which need no second one
	problems []Problem
}

func newLoader(opts Options) *loader {
	if opts.Environ == nil {
		opts.Environ = os.Environ
	}
	l := &loader{Options: opts, names: newNames(), cfg: Default(), lines: map[string]int{}, faulty: map[string]bool{}}
	l.cfg.origin = map[string]Source{}
	return l
}

// layers merges what sets a value, weakest first. Every layer brings known keys only and has reported the others.
func (l *loader) layers() *koanf.Koanf {
	merged := koanf.New(".")
	for _, layer := range []koanf.Provider{confmap.Provider(l.fileLayer(), "."), l.environmentLayer(), l.flagLayer()} {
		if layer == nil {
			continue
		}
		if err := merged.Load(layer, nil); err != nil {
			l.report(Problem{Found: err.Error(), Allowed: "settings that can be merged"})
		}
	}
	return merged
}

// decode puts the merged values into the tree, over the defaults.
func (l *loader) decode(merged *koanf.Koanf) {
	for _, s := range l.cfg.settings() {
		if !merged.Exists(s.key) {
			continue
		}
		raw := merged.Get(s.key)
		target := s.value.Addr().Interface()
		if l.credentials(target, s.key, raw) {
			continue
		}
		if problem := decode(target, raw); problem != nil {
			l.bad(s.key, problem.found, problem.allowed)
		}
	}
}

// bad reports what is wrong with the value of a key, once for each key.
func (l *loader) bad(key, found, allowed string) {
	if l.faulty[key] {
		return
	}
	l.faulty[key] = true
	l.report(Problem{Key: key, Source: l.source(key), Found: found, Allowed: allowed})
}

func (l *loader) report(p Problem) { l.problems = append(l.problems, p) }

func (l *loader) warn(key, text string) {
	l.cfg.notes = append(l.cfg.notes, fmt.Sprintf("%s (%s): %s", key, l.source(key), text))
}

// source finds where the value of a key, or of a part of it such as tokens[0].value, came from.
func (l *loader) source(key string) Source {
	setting, _, _ := strings.Cut(key, "[")
	source := l.cfg.origin[setting]
	if source.File != "" {
		source.Line = cmp.Or(l.lines[key], l.lines[key+"_file"], source.Line)
	}
	return source
}

// getenv looks a variable up in the environment that the layers are read from.
func (l *loader) getenv(name string) (string, bool) {
	for _, entry := range slices.Backward(l.Environ()) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// Secrets gives every secret text that was read, so that the log can be kept free of them.
func (c Config) Secrets() []string {
	found := map[string]bool{}
	note := func(texts ...string) {
		for _, text := range texts {
			if text != "" {
				found[text] = true
			}
		}
	}
	for _, s := range c.settings() {
		switch value := s.value.Interface().(type) {
		case Secret:
			note(value.Reveal())
		case URLs:
			note(value.secrets()...)
		case []Token:
			for _, token := range value {
				note(token.Value.Reveal())
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
