package strictjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// target is what a value is decoded into, as far as strictness needs to know.
type target struct {
	typ      reflect.Type // nil: anything goes
	nullable bool
}

// anything accepts every value, and every key within it.
var anything = target{nullable: true}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// resolve follows pointers, and makes types that decode themselves, and interfaces, anything.
func resolve(typ reflect.Type) target {
	nullable := false
	for typ != nil {
		pointer := reflect.PointerTo(typ)
		if pointer.Implements(jsonUnmarshaler) || pointer.Implements(textUnmarshaler) || typ.Kind() == reflect.Interface {
			return anything
		}
		if typ.Kind() != reflect.Pointer {
			// A nil slice or map is written as null by encoding/json itself, so it must be readable.
			nullable = nullable || typ.Kind() == reflect.Map || typ.Kind() == reflect.Slice
			return target{typ: typ, nullable: nullable}
		}
		typ, nullable = typ.Elem(), true
	}
	return anything
}

// fit names the kind of value that a token starts, and reports whether the target takes it.
func fit(token json.Token, t target) (found string, fits bool) {
	switch value := token.(type) {
	case nil:
		return "null", t.nullable
	case bool:
		return "true or false", t.takes(reflect.Bool)
	case string:
		return "a text", t.takes(reflect.String) || t.bytes()
	case json.Number:
		return "a number", t.number()
	case json.Delim:
		if value == '{' {
			return "an object", t.takes(reflect.Struct, reflect.Map)
		}
		return "a list", t.takes(reflect.Slice, reflect.Array)
	}
	return "something unknown", false
}

func (t target) takes(kinds ...reflect.Kind) bool {
	return t.typ == nil || slices.Contains(kinds, t.typ.Kind())
}

// bytes reports whether the target is a []byte, which JSON carries as text.
func (t target) bytes() bool {
	return t.typ != nil && t.typ.Kind() == reflect.Slice && t.typ.Elem().Kind() == reflect.Uint8
}

func (t target) number() bool {
	return t.typ == nil || t.typ.Kind() >= reflect.Int && t.typ.Kind() <= reflect.Float64 || t.typ == reflect.TypeFor[json.Number]()
}

// allowed names the kind of value the target takes.
func (t target) allowed() string {
	switch kind := t.typ.Kind(); {
	case kind == reflect.Bool:
		return "true or false"
	case kind == reflect.String || t.bytes():
		return "a text"
	case kind == reflect.Struct || kind == reflect.Map:
		return "an object"
	case kind == reflect.Slice || kind == reflect.Array:
		return "a list"
	}
	return "a number"
}

// member gives the type of the value under key, and whether there may be such a key.
func (t target) member(key string) (reflect.Type, bool) {
	switch {
	case t.typ == nil:
		return nil, true
	case t.typ.Kind() == reflect.Map:
		return t.typ.Elem(), true
	}
	typ, known := fields(t.typ)[key]
	return typ, known
}

// keys lists the keys of a struct for an error.
func (t target) keys() string {
	var names []string
	for name := range fields(t.typ) {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "no key at all"
	}
	slices.Sort(names)
	return "one of " + strings.Join(names, ", ")
}

func (t target) element() reflect.Type {
	if t.typ == nil {
		return nil
	}
	return t.typ.Elem()
}

// fields maps the JSON names of a struct to the types of its fields. Promoted fields count, as in encoding/json.
func fields(typ reflect.Type) map[string]reflect.Type {
	named := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(typ) {
		tag := field.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		if !field.IsExported() || tag == "-" || field.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		named[name] = field.Type
	}
	return named
}
