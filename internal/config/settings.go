package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// setting is one leaf of the tree: a key that a layer may set, and where its value is kept.
type setting struct {
	key   string
	value reflect.Value // addressable, inside the Config that was walked
}

// settings lists every setting of c, in the order in which the types above declare them.
func (c *Config) settings() []setting {
	return walk(nil, "", reflect.ValueOf(c).Elem())
}

func walk(found []setting, prefix string, section reflect.Value) []setting {
	for i := range section.NumField() {
		field := section.Type().Field(i)
		if field.Anonymous {
			found = walk(found, prefix, section.Field(i))
			continue
		}
		name, tagged := field.Tag.Lookup("koanf")
		if !tagged {
			continue
		}
		if value := section.Field(i); isSection(field.Type) {
			found = walk(found, prefix+name+".", value)
		} else {
			found = append(found, setting{prefix + name, value})
		}
	}
	return found
}

func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]() && t != reflect.TypeFor[URLs]()
}

// names knows which keys there are.
type names struct {
	keys     []string
	leaves   map[string]bool
	sections map[string]bool
}

func newNames() names {
	n := names{leaves: map[string]bool{}, sections: map[string]bool{}}
	var blank Config
	for _, s := range blank.settings() {
		n.keys = append(n.keys, s.key)
		n.leaves[s.key] = true
		for i, r := range s.key {
			if r == '.' {
				n.sections[s.key[:i]] = true
			}
		}
	}
	return n
}

// later are the keys that are spoken for and not in this version yet, so that their error can say that.
var later = []string{
	"executor.pipeline",
}

// unknown is what an error says is allowed in place of a key that does not exist.
func (n names) unknown(key string) string {
	if slices.ContainsFunc(later, func(name string) bool { return key == name || strings.HasPrefix(key, name+".") }) {
		return "nothing here: it is not in this version"
	}
	if near := n.nearest(key); near != "" {
		return near + "? (`systole config show` lists every key)"
	}
	return "one of the keys that `systole config show` lists"
}

// nearest gives the key that differs least from what was written, if any comes close.
func (n names) nearest(key string) string {
	best, fewest := "", max(2, len(key)/3)
	for _, candidate := range append(slices.Sorted(maps.Keys(n.sections)), n.keys...) {
		if d := distance(key, candidate); d < fewest {
			best, fewest = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace to get from a to b. Long texts are no typing errors.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
