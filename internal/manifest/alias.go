package manifest

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// anchorCollector notes every anchor of a document before conversion, since an anchor may stand in a part that is
// not converted.
type anchorCollector struct{ d *document }

// Visit implements ast.Visitor.
func (c anchorCollector) Visit(node ast.Node) ast.Visitor {
	if anchor, ok := node.(*ast.AnchorNode); ok && anchor.Name != nil {
		name := anchor.Name.GetToken().Value
		if _, taken := c.d.anchors[name]; taken {
			c.d.report(c.d.at(anchor.Start), "", "the anchor "+quote(name)+" a second time", "each anchor once in a document")
		}
		c.d.anchors[name] = anchor
	}
	return c
}

// resolve follows anchors and aliases to the value that they stand for. leave is called when that value has been
// converted. ok is false where there is no value; the error has been reported then.
func (d *document) resolve(node ast.Node, path string) (value ast.Node, leave func(), ok bool) {
	var entered []string
	leave = func() {
		for _, name := range entered {
			delete(d.expanding, name)
		}
	}
	for {
		switch n := node.(type) {
		case *ast.AnchorNode:
			name := n.Name.GetToken().Value
			d.expanding[name] = true
			entered = append(entered, name)
			node = n.Value
			continue
		case *ast.AliasNode:
			name := n.Value.GetToken().Value
			anchor, known := d.anchors[name]
			if !known || d.expanding[name] || !before(d.at(anchor.Start), d.at(n.Start)) {
				leave()
				d.report(d.at(n.Start), path, "the alias "+quote(name), "an alias of an anchor that ends before it")
				return nil, nil, false
			}
			d.expanding[name] = true
			entered = append(entered, name)
			node = anchor.Value
			continue
		}
		if node == nil {
			node = ast.Null(nil)
		}
		if !d.spend(node, path) {
			leave()
			return nil, nil, false
		}
		return node, leave, true
	}
}

// spend counts what a node takes, its path included, against what the file may expand to.
func (d *document) spend(node ast.Node, path string) bool {
	if *d.budget < 0 {
		return false // already reported
	}
	const perNode = 16
	*d.budget -= perNode + len(path)
	if t := node.GetToken(); isScalar(node) && t != nil {
		*d.budget -= len(t.Value)
	}
	if *d.budget < 0 {
		d.report(d.placeOf(path), path, "aliases that expand to too much", fmt.Sprintf("up to %d MiB of values and their paths in a file", maxExpanded>>20))
		return false
	}
	return true
}

// before reports whether a stands before b.
func before(a, b place) bool {
	return a.line < b.line || a.line == b.line && a.column < b.column
}
