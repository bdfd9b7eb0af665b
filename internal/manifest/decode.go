package manifest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/systole-run/systole/internal/bytesize"
	"github.com/systole-run/systole/store"
)

// into converts node, which stands at the field path, into target. What does not fit is reported, and target is left
// as close to what was meant as can be, so that the checks that follow do not complain about its absence.
func (d *document) into(node ast.Node, path string, target reflect.Value) {
	node, leave, ok := d.resolve(node, path)
	if !ok {
		allocate(target)
		return
	}
	defer leave()
	switch target.Interface().(type) {
	case store.Duration:
		d.duration(node, path, target)
		return
	case store.Size:
		d.size(node, path, target)
		return
	case json.RawMessage:
		d.raw(node, path, target)
		return
	}
	switch target.Kind() {
	case reflect.Pointer:
		allocate(target)
		d.into(node, path, target.Elem())
	case reflect.Struct:
		d.object(node, path, target)
	case reflect.Slice:
		d.list(node, path, target)
	case reflect.Map:
		d.texts(node, path, target)
	case reflect.String:
		d.text(node, path, target)
	case reflect.Int:
		d.integer(node, path, target)
	case reflect.Bool:
		d.truth(node, path, target)
	case reflect.Float64:
		d.number(node, path, target)
	default:
		d.mismatch(node, path, "leaving it out: it cannot be written in YAML")
	}
}

// object converts a mapping with known keys into a struct, by the names of its JSON tags.
func (d *document) object(node ast.Node, path string, target reflect.Value) {
	pairs, ok := d.pairs(node, path, "a mapping of keys to values")
	if !ok {
		return
	}
	fields := fieldsOf(target.Type())
	for _, pair := range pairs {
		index, known := fields.index[pair.name]
		if !known {
			d.unknown(pair, fields.offered(path))
			continue
		}
		before := len(d.errs)
		d.into(pair.value, pair.path, target.Field(index))
		if len(d.errs) == before && saysNothing(target, index) && !slices.Contains(zeroSays, pair.path) {
			d.idle(pair, target.Field(index).Kind())
		}
	}
}

// zeroSays are the fields that may be written as zero or empty. In any other that may be left out it would do nothing, or
// bring the default, which is hardly ever what somebody meant who wrote it.
var zeroSays = []string{"description", "pause_after", "retry.jitter"}

// saysNothing reports whether a field that was converted, and may be left out, now stands as if it had been.
func saysNothing(object reflect.Value, index int) bool {
	field := object.Field(index)
	_, options, _ := strings.Cut(object.Type().Field(index).Tag.Get("json"), ",")
	return options == "omitempty" && field.Kind() != reflect.Bool && field.Comparable() && field.IsZero()
}

func (d *document) idle(pair pair, kind reflect.Kind) {
	allowed := "a value above 0, or leaving it out"
	if kind == reflect.String {
		allowed = "text that is not empty, or leaving it out"
	}
	if value, leave, ok := d.resolve(pair.value, pair.path); ok {
		defer leave()
		d.mismatch(value, pair.path, allowed)
	}
}

func (d *document) unknown(key pair, offered []string) {
	found := "an unknown key"
	if near := nearest(key.name, offered); near != "" {
		found += " (did you mean " + near + "?)"
	}
	d.report(key.at, key.path, found, strings.Join(offered, ", "))
}

// texts converts a mapping with free keys and text values. Its values may be secrets, so no error repeats one.
func (d *document) texts(node ast.Node, path string, target reflect.Value) {
	pairs, ok := d.pairs(node, path, "a mapping of names to text")
	if !ok {
		return
	}
	target.Set(reflect.MakeMapWithSize(target.Type(), len(pairs)))
	for _, pair := range pairs {
		value, leave, ok := d.resolve(pair.value, pair.path)
		if !ok {
			continue
		}
		text, isText := stringOf(value)
		if !isText {
			d.report(d.placeOf(pair.path), pair.path, kindOf(value), "text; put it in quotes")
		}
		target.SetMapIndex(reflect.ValueOf(pair.name), reflect.ValueOf(text))
		leave()
	}
}

func (d *document) list(node ast.Node, path string, target reflect.Value) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		example := `["./sync.sh", "--full"]`
		if target.Type().Elem().Kind() == reflect.Int {
			example = "[443]"
		}
		d.mismatch(node, path, "a list, such as "+example)
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(sequence.Values), len(sequence.Values)))
	for i, value := range sequence.Values {
		item := fmt.Sprintf("%s[%d]", path, i)
		if value != nil {
			d.places[item] = d.at(keyToken(value))
		}
		d.into(value, item, target.Index(i))
	}
}

func (d *document) text(node ast.Node, path string, target reflect.Value) {
	text, ok := stringOf(node)
	if !ok {
		allowed := "text"
		if isScalar(node) && node.Type() != ast.NullType {
			allowed, text = "text; put it in quotes", node.GetToken().Value
		}
		d.mismatch(node, path, allowed)
	}
	target.SetString(text)
}

func (d *document) duration(node ast.Node, path string, target reflect.Value) {
	text, ok := stringOf(node)
	duration := new(store.Duration)
	if !ok || duration.UnmarshalText([]byte(text)) != nil {
		d.mismatch(node, path, "a duration such as 90s, 5m or 1h30m")
		return
	}
	target.SetInt(int64(*duration))
}

func (d *document) size(node ast.Node, path string, target reflect.Value) {
	size := new(store.Size)
	if !isScalar(node) || size.UnmarshalText([]byte(node.GetToken().Value)) != nil {
		d.mismatch(node, path, bytesize.Allowed)
		return
	}
	target.SetInt(int64(*size))
}

func (d *document) integer(node ast.Node, path string, target reflect.Value) {
	if number, ok := node.(*ast.IntegerNode); ok {
		switch value := number.Value.(type) {
		case int64:
			target.SetInt(value)
			return
		case uint64:
			if value <= math.MaxInt64 {
				target.SetInt(int64(value))
				return
			}
		}
	}
	d.mismatch(node, path, "a whole number")
}

func (d *document) truth(node ast.Node, path string, target reflect.Value) {
	if truth, ok := node.(*ast.BoolNode); ok {
		target.SetBool(truth.Value)
		return
	}
	d.mismatch(node, path, "true or false")
}

func (d *document) number(node ast.Node, path string, target reflect.Value) {
	switch number := node.(type) {
	case *ast.FloatNode:
		target.SetFloat(number.Value)
	case *ast.IntegerNode:
		switch value := number.Value.(type) {
		case int64:
			target.SetFloat(float64(value))
		case uint64:
			target.SetFloat(float64(value))
		}
	default:
		d.mismatch(node, path, "a number")
	}
}

// mismatch reports a value of the wrong type.
func (d *document) mismatch(node ast.Node, path, allowed string) {
	found := kindOf(node)
	if isScalar(node) && node.Type() != ast.NullType {
		found = quote(node.GetToken().Value)
	}
	d.report(d.placeOf(path), path, found, allowed)
}

// allocate makes a pointer point to something, so that a kind that is there but wrong still counts as there.
func allocate(target reflect.Value) {
	switch {
	case target.Type() == reflect.TypeFor[json.RawMessage]():
		target.SetBytes([]byte("null"))
	case target.Kind() == reflect.Pointer && target.IsNil():
		target.Set(reflect.New(target.Type().Elem()))
	}
}
