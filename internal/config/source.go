package config

import "strconv"

// Source says which layer set a value. The zero Source is the default.
type Source struct {
	File     string // path of the YAML file
	Line     int    // in File; 0 if not known
	Variable string // name of the environment variable
	Flag     string // name of the flag, without dashes
}

// String names the source as errors and Show give it.
func (s Source) String() string {
	switch {
	case s.Flag != "":
		return "flag --" + s.Flag
	case s.Variable != "":
		return "environment " + s.Variable
	case s.File != "" && s.Line > 0:
		return s.File + ":" + strconv.Itoa(s.Line)
	case s.File != "":
		return s.File
	}
	return "default"
}

// Source says where the value of a key came from.
func (c Config) Source(key string) Source { return c.origin[key] }

// Said reports whether any layer sets a key, so that its value is not the default.
func (c Config) Said(key string) bool { return c.Source(key) != (Source{}) }

// Warnings are what is allowed and should still be known, each naming key and source. Log them once at start.
func (c Config) Warnings() []string { return c.notes }
