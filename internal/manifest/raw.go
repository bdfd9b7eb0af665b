package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// raw converts a value whose shape belongs to someone else into JSON. Keys come out sorted, so that two definitions
// that say the same are equal.
func (d *document) raw(node ast.Node, path string, target reflect.Value) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d.free(node, path)); err != nil {
		d.report(d.placeOf(path), path, "a value that JSON cannot say", "text, numbers, true, false, null, lists and mappings")
	}
	target.SetBytes(bytes.TrimSpace(text.Bytes()))
}

// free converts any value into what encoding/json takes.
func (d *document) free(node ast.Node, path string) any {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		if !math.IsInf(n.Value, 0) && !math.IsNaN(n.Value) {
			return n.Value
		}
	case *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		return d.freeList(n, path)
	case ast.MapNode:
		return d.freeObject(node, path)
	}
	d.mismatch(node, path, "a value that JSON has, too")
	return nil
}

func (d *document) freeList(node *ast.SequenceNode, path string) []any {
	values := make([]any, len(node.Values))
	for i, value := range node.Values {
		values[i] = d.freeValue(value, fmt.Sprintf("%s[%d]", path, i))
	}
	return values
}

func (d *document) freeObject(node ast.Node, path string) map[string]any {
	pairs, _ := d.pairs(node, path, "a mapping")
	values := make(map[string]any, len(pairs))
	for _, pair := range pairs {
		values[pair.name] = d.freeValue(pair.value, pair.path)
	}
	return values
}

func (d *document) freeValue(node ast.Node, path string) any {
	value, leave, ok := d.resolve(node, path)
	if !ok {
		return nil
	}
	defer leave()
	return d.free(value, path)
}
