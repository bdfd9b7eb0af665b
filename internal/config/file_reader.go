package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// fileReader goes through one parsed file and sorts its keys into settings, sections and errors.
type fileReader struct {
	*loader
	values map[string]any
}

func (f *fileReader) fail(key string, line int, found, allowed string) {
	f.faulty[key] = true
	f.report(Problem{Key: key, Source: Source{File: f.File, Line: line}, Found: found, Allowed: allowed})
}

// section reads a mapping of keys. A section or setting without a value is as if it was not there.
func (f *fileReader) section(prefix string, node ast.Node) {
	if node.Type() == ast.NullType {
		return
	}
	mapping, ok := node.(ast.MapNode)
	if !ok {
		f.fail(prefix, lineOf(node), kindOf(node), "a mapping of keys to values")
		return
	}
	f.each(prefix, mapping, func(key string, line int, value ast.Node) {
		switch {
		case f.sections[key]:
			f.section(key, value)
		case f.leaves[key]:
			f.setting(key, line, value)
		default:
			f.fail(key, line, "an unknown key", f.unknown(key))
		}
	})
}

// each calls do for every key of a mapping, with the whole path of the key.
func (f *fileReader) each(prefix string, mapping ast.MapNode, do func(key string, line int, value ast.Node)) {
	seen := map[string]bool{}
	for pairs := mapping.MapRange(); pairs.Next(); {
		line := lineOf(pairs.Key())
		name, ok := pairs.Key().(*ast.StringNode)
		if !ok {
			f.fail(prefix, line, "a key that is no plain text", "plain keys; anchors, aliases and merges are not read here")
			continue
		}
		key := name.Value
		if prefix != "" {
			key = prefix + "." + key
		}
		if seen[key] {
			f.fail(key, line, "the key a second time", "each key once")
			continue
		}
		seen[key] = true
		f.lines[key] = line
		do(key, line, pairs.Value())
	}
}

func (f *fileReader) setting(key string, line int, node ast.Node) {
	value, ok := f.value(key, node)
	if !ok || value == nil {
		return
	}
	f.values[key] = value
	f.cfg.origin[key] = Source{File: f.File, Line: line}
}

// value turns a node into nil, bool, int64, uint64, float64, string, []any or map[string]any. The key is the path of the
// value, down to elements of lists.
func (f *fileReader) value(key string, node ast.Node) (any, bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case ast.MapNode:
		fields, ok := map[string]any{}, true
		f.each(key, n, func(path string, _ int, node ast.Node) {
			value, usable := f.value(path, node)
			fields[path[len(key)+1:]], ok = value, ok && usable
		})
		return fields, ok
	case *ast.SequenceNode:
		list, ok := make([]any, len(n.Values)), true
		for i, element := range n.Values {
			path := fmt.Sprintf("%s[%d]", key, i)
			f.lines[path] = lineOf(element)
			value, usable := f.value(path, element)
			list[i], ok = value, ok && usable
		}
		return list, ok
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.(ast.ScalarNode).GetValue(), true
	}
	f.fail(key, lineOf(node), kindOf(node), "a plain value; anchors, aliases and tags are not read here")
	return nil, false
}

// kindOf says in words what a node is, and nothing of its content.
func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias"
	case *ast.TagNode:
		return "a tag"
	}
	return "something else"
}
