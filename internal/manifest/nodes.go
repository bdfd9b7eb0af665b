package manifest

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// pair is one key and its value in a mapping.
type pair struct {
	name  string
	path  string // of the field
	at    place  // of the key
	value ast.Node
}

// pairs lists the keys of a mapping and notes where their values stand. Keys that are doubled or no text are reported and left out.
func (d *document) pairs(node ast.Node, path, allowed string) ([]pair, bool) {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		d.mismatch(node, path, allowed)
		return nil, false
	}
	var pairs []pair
	seen := map[string]place{}
	for each := mapping.MapRange(); each.Next(); {
		at := d.at(keyToken(each.Key()))
		name, ok := keyName(each.Key())
		if !ok {
			d.report(at, path, "the key "+quote(keyToken(each.Key()).Value), "keys of plain text")
			continue
		}
		p := pair{name: name, path: join(path, name), at: at, value: each.Value()}
		if first, doubled := seen[name]; doubled {
			d.report(at, p.path, fmt.Sprintf("the key a second time, after line %d", first.line), "each key once")
			continue
		}
		seen[name] = at
		d.places[p.path] = d.valuePlace(p)
		pairs = append(pairs, p)
	}
	return pairs, true
}

// valuePlace is where an error in the value points to: the value itself if it is on one line, else its key.
func (d *document) valuePlace(p pair) place {
	if p.value != nil && isScalar(p.value) && p.value.Type() != ast.NullType {
		return d.at(p.value.GetToken())
	}
	return p.at
}

// keyName gives the text of a key. Numbers, true, null, lists, merges and aliases are not keys of a definition.
func keyName(key ast.MapKeyNode) (string, bool) {
	if explicit, ok := key.(*ast.MappingKeyNode); ok {
		text, ok := explicit.Value.(*ast.StringNode)
		if !ok {
			return "", false
		}
		return text.Value, true
	}
	text, ok := key.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return text.Value, true
}

// keyToken is the first token of a node: for a mapping its first key, since its own token is the colon.
func keyToken(node ast.Node) *token.Token {
	for {
		switch n := node.(type) {
		case *ast.MappingNode:
			if n.IsFlowStyle || len(n.Values) == 0 {
				return n.Start
			}
			node = n.Values[0].Key
		case *ast.MappingValueNode:
			node = n.Key
		case *ast.MappingKeyNode:
			return n.Start
		case nil:
			return nil
		default:
			return node.GetToken()
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// stringOf gives the text of a node that is text: plain, quoted, or a block.
func stringOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

func isScalar(node ast.Node) bool {
	_, ok := node.(ast.ScalarNode)
	return ok
}

// kindOf says in words what a node is.
func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	}
	return "something else"
}
