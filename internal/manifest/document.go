package manifest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/systole-run/systole/store"
)

// Bounds of one document. The parser's time grows with the square of the tokens and faster with nested brackets; a
// definition has about a hundred of the one and three of the other.
const (
	maxTokens = 5000
	maxNested = 64
)

// maxExpanded bounds, for one file, the bytes of all values and their paths, with aliases counted as often as they are
// used. No file without aliases comes near it.
const maxExpanded = 16 * MaxFile

// place is a position in the file, from 1.
type place struct{ line, column int }

// document is one document while it is converted.
type document struct {
	file      string
	line      int // lines of the file before it
	budget    *int
	errs      Errors
	root      place
	places    map[string]place // field path -> where it stands
	anchors   map[string]*ast.AnchorNode
	expanding map[string]bool // anchors that are being expanded, to notice one within itself
}

// parse converts one document. It returns neither flow nor errors for a document that says null.
func (s source) parse(file string, budget *int) (*Flow, Errors) {
	d := &document{
		file: file, line: s.line, budget: budget, root: place{s.line + 1, 1},
		places: map[string]place{}, anchors: map[string]*ast.AnchorNode{}, expanding: map[string]bool{},
	}
	body := d.tree(s.text)
	if len(d.errs) > 0 || body == nil || body.Type() == ast.NullType {
		return nil, d.errs
	}
	d.root = d.at(keyToken(body))
	flow := d.flow(body)
	sortByPlace(d.errs)
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	at := d.placeOf("name")
	return &Flow{DataFlow: flow, File: file, Line: at.line, column: at.column}, nil
}

// flow converts the tree and checks the definition as a whole.
func (d *document) flow(body ast.Node) store.DataFlow {
	var flow store.DataFlow
	ast.Walk(anchorCollector{d}, body)
	d.into(body, "", reflect.ValueOf(&flow).Elem())
	if _, ok := body.(ast.MapNode); !ok {
		return flow // what is no mapping lacks everything; saying so would not help
	}
	flow = flow.WithDefaults()
	if wrong := new(store.InvalidError); errors.As(flow.Validate(), wrong) {
		syntactic := d.errs // what already has an error needs no second one that follows from it
		for _, field := range *wrong {
			if !covers(syntactic, field.Field) {
				d.report(d.placeOf(field.Field), field.Field, field.Found, field.Allowed)
			}
		}
	}
	return flow
}

// tree parses the text. The parser belongs to others, so its panics, of which fuzzing has found some, become errors.
func (d *document) tree(text string) (body ast.Node) {
	defer func() {
		if recover() != nil {
			body = nil
			d.report(d.root, "", "a document that the YAML parser cannot read", "plain YAML")
		}
	}()
	tokens := lexer.Tokenize(text)
	if !d.bounded(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			if body != nil {
				d.report(d.at(doc.Body.GetToken()), "", "a second value", "one mapping to a document")
				return nil
			}
			body = doc.Body
		}
	}
	return body
}

// bounded refuses what would take the parser too long.
func (d *document) bounded(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		d.report(d.root, "", fmt.Sprintf("a document of %d tokens", len(tokens)), fmt.Sprintf("up to %d; put --- between flows", maxTokens))
		return false
	}
	nested := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			nested++
		case token.SequenceEndType, token.MappingEndType:
			nested--
		case token.TagType:
			d.report(d.at(t), "", "the tag "+quote(t.Value), "plain YAML without tags")
			return false
		}
		if nested > maxNested {
			d.report(d.at(t), "", "brackets nested more than "+fmt.Sprint(maxNested)+" deep", "a flatter document")
			return false
		}
	}
	return true
}

// syntax reports what the parser says, at the place that it says.
func (d *document) syntax(err error) {
	at, message := d.root, err.Error()
	var detailed yaml.Error
	if errors.As(err, &detailed) {
		message = detailed.GetMessage()
		if detailed.GetToken() != nil {
			at = d.at(detailed.GetToken())
		}
	}
	d.report(at, "", "YAML that cannot be read: "+message, "")
}

func (d *document) report(at place, field, found, allowed string) {
	d.errs = append(d.errs, Error{File: d.file, Line: at.line, Column: at.column, Field: field, Found: found, Allowed: allowed})
}

// at is where a token stands in the file.
func (d *document) at(t *token.Token) place {
	if t == nil || t.Position == nil {
		return d.root
	}
	return place{d.line + t.Position.Line, t.Position.Column}
}

// placeOf is where a field stands, or the nearest parent that is there.
func (d *document) placeOf(field string) place {
	for field != "" {
		if at, known := d.places[field]; known {
			return at
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return d.root
}

// covers reports whether an error at the field, above it or within it is already there.
func covers(errs Errors, field string) bool {
	for _, e := range errs {
		if e.Field != "" && field != "" && (within(e.Field, field) || within(field, e.Field)) {
			return true
		}
	}
	return false
}

// within reports whether path is parent or a part of it.
func within(path, parent string) bool {
	rest, found := strings.CutPrefix(path, parent)
	return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
