package config

import (
	"reflect"
	"strings"
)

// Changed compares two Configs of the same process: which keys a running role takes over at once (levels, allow
// lists, and who may call), and which ones only a restart brings into force. Both are in the order of the tree.
func (c Config) Changed(next Config) (atOnce, onRestart []string) {
	after := next.settings()
	for i, before := range c.settings() {
		if reflect.DeepEqual(before.value.Interface(), after[i].value.Interface()) {
			continue
		}
		if reloads(before.key) {
			atOnce = append(atOnce, before.key)
		} else {
			onRestart = append(onRestart, before.key)
		}
	}
	return atOnce, onRestart
}

// reloads reports whether a running role takes a key over.
func reloads(key string) bool {
	if key == "log.level" || strings.HasPrefix(key, "log.levels.") {
		return true
	}
	section, rest, _ := strings.Cut(key, ".")
	listens := section == "gateway" || section == "console"
	return listens && (rest == "allow" || strings.HasPrefix(rest, "auth.") || strings.HasPrefix(rest, "tls."))
}
