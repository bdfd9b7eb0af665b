package config

import (
	"fmt"
	"maps"
	"slices"
)

const tokensAllowed = "a list of {name, value | value_file | sha256, scopes, groups}, in the environment as JSON"

// tokens decodes the list of a tokens setting and reports every fault with the path of the element.
func (l *loader) tokens(key string, raw any) []Token {
	if text, ok := raw.(string); ok {
		list, problem := jsonList(text, tokensAllowed)
		if problem != nil {
			l.bad(key, problem.found, problem.allowed)
			return nil
		}
		raw = list
	}
	list, ok := raw.([]any)
	if !ok {
		l.bad(key, kind(raw), tokensAllowed)
		return nil
	}
	tokens := make([]Token, len(list))
	for i, element := range list {
		path := fmt.Sprintf("%s[%d]", key, i)
		fields, ok := element.(map[string]any)
		if !ok {
			l.bad(path, kind(element), "{name, value | value_file | sha256, scopes, groups}")
			continue
		}
		tokens[i] = l.token(path, fields)
	}
	return tokens
}

func (l *loader) token(path string, fields map[string]any) Token {
	var token Token
	var valueFile string
	targets := map[string]any{
		"name": &token.Name, "value": &token.Value, "value_file": &valueFile, "sha256": &token.SHA256,
		"scopes": &token.Scopes, "groups": &token.Groups,
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path + "." + name
		target, known := targets[name]
		if !known {
			l.bad(at, "an unknown key", "name, value, value_file, sha256, scopes or groups")
		} else if fields[name] == nil {
			continue
		} else if problem := decode(target, fields[name]); problem != nil {
			l.bad(at, problem.found, problem.allowed)
		}
	}
	l.fromFileKey(&token.Value, valueFile, path+".value")
	return token
}
