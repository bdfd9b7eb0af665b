package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// walker goes through a document beside the type it will be decoded into, and notes what does not belong.
type walker struct {
	decoder  *json.Decoder
	depth    int
	problems Error
}

// checkKeys compares a syntactically valid document with the type of v.
func checkKeys(data []byte, v any) error {
	w := &walker{decoder: json.NewDecoder(bytes.NewReader(data))}
	w.decoder.UseNumber()
	if err := w.value("", reflect.TypeOf(v)); err != nil {
		return err
	}
	if len(w.problems) > 0 {
		return w.problems
	}
	return nil
}

func (w *walker) add(field, found, allowed string) {
	w.problems = append(w.problems, Problem{Field: field, Offset: w.decoder.InputOffset(), Found: found, Allowed: allowed})
}

// value reads one value that goes into a typ; nil stands for any type. Its error ends the walk.
func (w *walker) value(path string, typ reflect.Type) error {
	token, err := w.decoder.Token()
	if err != nil {
		return Error{{Field: path, Offset: w.decoder.InputOffset(), Found: err.Error(), Allowed: "a JSON value"}}
	}
	target := resolve(typ)
	if found, fits := fit(token, target); !fits {
		w.add(path, found, target.allowed())
		target = anything // go on, for the sake of doubled keys further in
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if w.depth++; w.depth > MaxDepth {
		return Error{{Field: path, Offset: w.decoder.InputOffset(), Found: "deeper nesting", Allowed: fmt.Sprintf("at most %d levels", MaxDepth)}}
	}
	defer func() { w.depth-- }()
	if delim == '{' {
		return w.object(path, target)
	}
	return w.list(path, target)
}

func (w *walker) object(path string, target target) error {
	seen := map[string]bool{}
	for w.decoder.More() {
		token, err := w.decoder.Token()
		if err != nil {
			return err
		}
		key := token.(string) // the syntax is checked: nothing else can stand here
		field := join(path, key)
		if seen[key] {
			w.add(field, "the key "+quote(key)+" a second time", "each key once")
		}
		seen[key] = true
		inner, known := target.member(key)
		if !known {
			w.add(field, "the key "+quote(key), target.keys())
		}
		if err := w.value(field, inner); err != nil {
			return err
		}
	}
	_, err := w.decoder.Token()
	return err
}

func (w *walker) list(path string, target target) error {
	for i := 0; w.decoder.More(); i++ {
		if err := w.value(path+"["+strconv.Itoa(i)+"]", target.element()); err != nil {
			return err
		}
	}
	_, err := w.decoder.Token()
	return err
}

func join(path, key string) string {
	if path == "" {
		return cut(key)
	}
	return path + "." + cut(key)
}

func quote(key string) string { return strconv.Quote(cut(key)) }

// cut bounds what an error repeats of the input.
func cut(key string) string {
	const longest = 64
	if len(key) <= longest {
		return key
	}
	end := longest
	for end > 0 && key[end]&0xC0 == 0x80 { // not in the middle of a character
		end--
	}
	return key[:end] + "…"
}
