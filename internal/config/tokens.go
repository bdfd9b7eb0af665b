package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	tokenFields   = "{name, value | value_file | sha256, scopes, groups, expires}"
	subjectFields = "{subject | email, name, scopes, groups, issuer, audience}, or a subject as text"
	certFields    = "{uri | dns | email | cn, name, scopes, groups}"
)

// credentials decodes a list of credentials. ok is false for a target that is none.
func (l *loader) credentials(target any, key string, raw any) (ok bool) {
	switch list := target.(type) {
	case *[]Token:
		*list = objects(l, key, raw, tokenFields, l.token)
	case *[]OIDCSubject:
		*list = objects(l, key, raw, subjectFields, l.oidcSubject)
	case *[]CertSubject:
		*list = objects(l, key, raw, certFields, l.certSubject)
	default:
		return false
	}
	return true
}

// objects decodes the list of a setting, of mappings each with the given fields, and reports every fault with the path of
// the element.
func objects[T any](l *loader, key string, raw any, fields string, element func(path string, raw any) (T, bool)) []T {
	allowed := "a list of " + fields + ", in the environment as JSON"
	if text, ok := raw.(string); ok {
		list, problem := jsonList(text, allowed)
		if problem != nil {
			l.bad(key, problem.found, problem.allowed)
			return nil
		}
		raw = list
	}
	list, ok := raw.([]any)
	if !ok {
		l.bad(key, kind(raw), allowed)
		return nil
	}
	made := make([]T, len(list))
	for i, one := range list {
		path := fmt.Sprintf("%s[%d]", key, i)
		if made[i], ok = element(path, one); !ok {
			l.bad(path, kind(one), fields)
		}
	}
	return made
}

// object decodes the fields of a mapping into targets. ok is false for what is no mapping.
func (l *loader) object(path string, raw any, targets map[string]any) (ok bool) {
	fields, ok := raw.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path + "." + name
		target, known := targets[name]
		if !known {
			l.bad(at, "an unknown key", strings.Join(slices.Sorted(maps.Keys(targets)), ", "))
		} else if fields[name] == nil {
			continue
		} else if problem := decode(target, fields[name]); problem != nil {
			l.bad(at, problem.found, problem.allowed)
		}
	}
	return ok
}

func (l *loader) token(path string, raw any) (token Token, ok bool) {
	var valueFile string
	ok = l.object(path, raw, map[string]any{
		"name": &token.Name, "value": &token.Value, "value_file": &valueFile, "sha256": &token.SHA256,
		"scopes": &token.Scopes, "groups": &token.Groups, "expires": &token.Expires,
	})
	l.fromFileKey(&token.Value, valueFile, path+".value")
	return token, ok
}

func (l *loader) oidcSubject(path string, raw any) (subject OIDCSubject, ok bool) {
	if text, plain := raw.(string); plain {
		return OIDCSubject{Subject: text}, true
	}
	ok = l.object(path, raw, map[string]any{
		"subject": &subject.Subject, "email": &subject.Email, "name": &subject.Name, "scopes": &subject.Scopes, "groups": &subject.Groups,
		"issuer": &subject.Issuer, "audience": &subject.Audience,
	})
	return subject, ok
}

func (l *loader) certSubject(path string, raw any) (subject CertSubject, ok bool) {
	ok = l.object(path, raw, map[string]any{
		"uri": &subject.URI, "dns": &subject.DNS, "email": &subject.Email, "cn": &subject.CN, "name": &subject.Name,
		"scopes": &subject.Scopes, "groups": &subject.Groups,
	})
	return subject, ok
}
