package manifest

import (
	"reflect"
	"slices"
	"strings"
)

// keys are the names under which a struct's fields are written.
type keys struct {
	names []string // in the order of the fields
	index map[string]int
}

func fieldsOf(t reflect.Type) keys {
	found := keys{index: map[string]int{}}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			found.names = append(found.names, name)
			found.index[name] = i
		}
	}
	return found
}

// later are the keys of the model that this version does not carry out. DataFlow.Validate refuses them by name; they
// are not offered, neither in errors nor to editors.
func later() []string {
	return []string{"pipeline"}
}

// offered are the keys to propose for the object at path.
func (k keys) offered(path string) []string {
	if path != "" {
		return k.names
	}
	hidden := later()
	return slices.DeleteFunc(slices.Clone(k.names), func(name string) bool { return slices.Contains(hidden, name) })
}

// nearest finds what was probably meant by a mistyped key: the closest name, at most a third of it away. Empty if none is.
func nearest(typed string, names []string) string {
	typed = strings.ToLower(typed)
	best, distance := "", 0
	if len(typed) > 64 {
		return ""
	}
	for _, name := range names {
		steps := edits(typed, name)
		if steps <= (len(name)+2)/3 && (best == "" || steps < distance) {
			best, distance = name, steps
		}
	}
	return best
}

// edits counts the letters to insert, delete, replace or swap to get from a to b (optimal string alignment).
func edits(a, b string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		table[i][0] = i
	}
	for j := range table[0] {
		table[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			table[i][j] = min(table[i-1][j]+1, table[i][j-1]+1, table[i-1][j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				table[i][j] = min(table[i][j], table[i-2][j-2]+1)
			}
		}
	}
	return table[len(a)][len(b)]
}
