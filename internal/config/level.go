package config

import "log/slog"

// Level is debug, info, warn or error. Empty, where it is allowed, means that of log.level.
type Level string

const levelAllowed = "debug, info, warn or error"

// Slog gives the level as slog has it. The empty level is info.
func (l Level) Slog() slog.Level {
	switch l {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (l Level) valid() bool {
	return l == "debug" || l == "info" || l == "warn" || l == "error"
}

// Levels are the levels of single components; an empty one follows log.level.
type Levels struct {
	Gateway  Level `koanf:"gateway"`
	Worker   Level `koanf:"worker"`
	Console  Level `koanf:"console"`
	Trigger  Level `koanf:"trigger"`
	Store    Level `koanf:"store"`
	Executor Level `koanf:"executor"`
}

// ByComponent gives the level of every component that has one of its own.
func (l Levels) ByComponent() map[string]slog.Level {
	all := map[string]Level{
		"gateway": l.Gateway, "worker": l.Worker, "console": l.Console,
		"trigger": l.Trigger, "store": l.Store, "executor": l.Executor,
	}
	own := map[string]slog.Level{}
	for component, level := range all {
		if level != "" {
			own[component] = level.Slog()
		}
	}
	return own
}
