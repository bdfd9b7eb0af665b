package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/systole-run/systole/internal/bytesize"
	"github.com/systole-run/systole/internal/strictjson"
	"github.com/systole-run/systole/store"
)

// decodeFlow reads one definition. name and group, where not empty, are what the address says: the body may leave them
// out or repeat them. The error is a refusal: 400 for what cannot be read, 422 for what can but is no valid flow.
func (a *API) decodeFlow(body []byte, name, group string) (store.DataFlow, error) {
	var flow store.DataFlow
	if err := strictjson.Decode(body, &flow); err != nil {
		fields := problems(err)
		if unreadable := wrongTexts(body, reflect.TypeFor[store.DataFlow](), ""); len(unreadable) > 0 && fields[0].Field == "" {
			fields = unreadable
		}
		return store.DataFlow{}, refuse(http.StatusBadRequest, "the flow cannot be read; errors lists every fault", fields...)
	}
	var wrong []store.FieldError
	wrong = append(wrong, settle("name", &flow.Name, name)...)
	wrong = append(wrong, settle("group", &flow.Group, group)...)
	flow = flow.WithDefaults()
	var invalid store.InvalidError
	if errors.As(flow.Validate(), &invalid) {
		wrong = append(wrong, invalid...)
	}
	if len(wrong) > 0 {
		return flow, refuse(http.StatusUnprocessableEntity, "the flow is not valid; errors lists every fault", wrong...)
	}
	return flow, nil
}

// settle makes the field what the address says, and reports a body that says otherwise.
func settle(field string, value *string, address string) []store.FieldError {
	if address == "" || *value == address {
		return nil
	}
	if *value == "" {
		*value = address
		return nil
	}
	return []store.FieldError{{Field: field, Found: quote(*value), Allowed: quote(address) + ", as in the address, or leaving it out"}}
}

// wrongTexts names the durations and sizes that cannot be read. encoding/json stops at the first value that decodes itself
// and fails, and does not say where that was.
func wrongTexts(body []byte, t reflect.Type, path string) []store.FieldError {
	var values map[string]json.RawMessage
	if json.Unmarshal(body, &values) != nil {
		return nil
	}
	var wrong []store.FieldError
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		value, given := values[name]
		inner := t.Field(i).Type
		switch {
		case !given:
		case inner == reflect.TypeFor[store.Duration]():
			if new(store.Duration).UnmarshalJSON(value) != nil {
				wrong = append(wrong, store.FieldError{Field: path + name, Found: clip(string(value)), Allowed: "a duration above 0 in quotes such as \"90s\", \"5m\" or \"1h30m\""})
			}
		case inner == reflect.TypeFor[store.Size]():
			if new(store.Size).UnmarshalJSON(value) != nil {
				wrong = append(wrong, store.FieldError{Field: path + name, Found: clip(string(value)), Allowed: bytesize.Allowed})
			}
		case inner.Kind() == reflect.Pointer && inner.Elem().Kind() == reflect.Struct:
			wrong = append(wrong, wrongTexts(value, inner.Elem(), path+name+".")...)
		}
	}
	return wrong
}
