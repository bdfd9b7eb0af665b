package telemetry

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"sync"

	slogmulti "github.com/samber/slog-multi"

	"github.com/systole-run/systole/internal/logkey"
)

// LogConfig says what is logged and how.
type LogConfig struct {
	Format  string                // "json", or else text
	Level   slog.Level            // of every component that has none of its own
	Levels  map[string]slog.Level // by component
	Secrets []string              // texts that never appear in a line, wherever they come from
	Sinks   []slog.Handler        // further receivers, which get what gets through level and redaction
}

// Logs makes the loggers of a process. Everything goes through one pipe: level by component, then redaction, then a
// fan-out to the sinks. It is safe for concurrent use.
type Logs struct {
	handler  slog.Handler
	redactor *redactor

	mu     sync.Mutex
	level  *slog.LevelVar
	levels map[string]*slog.LevelVar // of the components that have asked for a logger
	own    map[string]slog.Level     // configured by component
}

// NewLogs makes Logs that write to out.
func NewLogs(out io.Writer, cfg LogConfig) *Logs {
	options := &slog.HandlerOptions{Level: slog.LevelDebug} // levels are decided before
	var sink slog.Handler = slog.NewTextHandler(out, options)
	if cfg.Format == "json" {
		sink = slog.NewJSONHandler(out, options)
	}
	l := &Logs{redactor: newRedactor(cfg.Secrets), level: new(slog.LevelVar), levels: make(map[string]*slog.LevelVar)}
	l.handler = slogmulti.Pipe(l.redactor.middleware).Handler(slogmulti.Fanout(append([]slog.Handler{sink}, cfg.Sinks...)...))
	l.SetLevels(cfg.Level, cfg.Levels)
	return l
}

// For gives the logger of a component, which names itself in each line.
func (l *Logs) For(component string) *slog.Logger {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.levels[component] == nil {
		l.levels[component] = new(slog.LevelVar)
		l.levels[component].Set(l.levelOf(component))
	}
	return slog.New(leveled{Handler: l.handler, level: l.levels[component]}).With(logkey.Component, component)
}

// SetLevels changes the levels of all loggers, also of those given out before.
func (l *Logs) SetLevels(level slog.Level, own map[string]slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.level.Set(level)
	l.own = maps.Clone(own)
	for component, current := range l.levels {
		current.Set(l.levelOf(component))
	}
}

// SetSecrets replaces the texts that never appear in a line. Attributes that a logger was given before stay as they were.
func (l *Logs) SetSecrets(secrets []string) { l.redactor.set(secrets) }

func (l *Logs) levelOf(component string) slog.Level {
	if level, ok := l.own[component]; ok {
		return level
	}
	return l.level.Level()
}

// leveled drops what is below a component's level.
type leveled struct {
	slog.Handler
	level slog.Leveler
}

func (h leveled) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level.Level() && h.Handler.Enabled(ctx, level)
}

func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{Handler: h.Handler.WithAttrs(attrs), level: h.level}
}

func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{Handler: h.Handler.WithGroup(name), level: h.level}
}
