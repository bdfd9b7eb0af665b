package config

import (
	"fmt"
	"strings"
)

// resolve reads every secret that a role which runs here needs.
func (l *loader) resolve() {
	c := &l.cfg
	l.fromFileKey(&c.NATS.Password, c.NATS.PasswordFile, "nats.password")
	l.fromFileKey(&c.Redis.Password, c.Redis.PasswordFile, "redis.password")
	l.fromFileKey(&c.Callback.Key, c.Callback.KeyFile, "callback.key")
	for _, s := range c.settings() {
		section, _, _ := strings.Cut(s.key, ".")
		if !needed(l.Roles, section) {
			continue
		}
		switch value := s.value.Addr().Interface().(type) {
		case *Secret:
			l.resolveSecret(value, s.key)
		case *URLs:
			l.resolveURLs(value, s.key)
		case *[]Token:
			for i := range *value {
				path := fmt.Sprintf("%s[%d]", s.key, i)
				l.resolveSecret(&(*value)[i].Value, path+".value")
				l.resolveSecret(&(*value)[i].SHA256, path+".sha256")
			}
		}
	}
}

// fromFileKey makes the path of a …_file key the reference of its secret.
func (l *loader) fromFileKey(secret *Secret, path, key string) {
	if path == "" {
		return
	}
	if !secret.IsZero() {
		l.bad(key, "both "+lastPart(key)+" and "+lastPart(key)+"_file", "one of them")
		return
	}
	if fileKey := key + "_file"; l.leaves[fileKey] {
		l.cfg.origin[key] = l.cfg.origin[fileKey]
	}
	*secret = Secret{&kept{reference: "file:" + path, pending: true}}
}

// resolveSecret reads what a reference names, and looks at where a literal came from.
func (l *loader) resolveSecret(secret *Secret, key string) {
	switch {
	case secret.IsZero():
	case secret.kept.pending:
		text, problem := lookUp(secret.kept.reference, l.getenv)
		if problem != nil {
			l.bad(key, problem.found, problem.allowed)
			return
		}
		*secret = Secret{&kept{text: &text, reference: secret.kept.reference}}
	case !strings.HasSuffix(key, ".sha256"):
		l.literal(key)
	}
}

// literal accepts a secret that stands in a layer itself only where others cannot read it there.
func (l *loader) literal(key string) {
	source := l.source(key)
	switch {
	case source.Flag != "":
		l.bad(key, "a secret on the command line, which every user of the machine can see", referenceAllowed)
	case source.File != "" && l.exposed:
		l.bad(key, "a secret in a file that others than its owner can read", referenceAllowed+"; or take the others' rights away (chmod 600)")
	case source.File != "":
		l.warn(key, "the secret stands in the file itself; "+referenceAllowed+" keeps it out")
	}
}

func (l *loader) resolveURLs(addresses *URLs, key string) {
	if addresses.kept == nil {
		return
	}
	if addresses.kept.pending {
		text, problem := lookUp(addresses.kept.reference, l.getenv)
		if problem != nil {
			l.bad(key, problem.found, problem.allowed)
			return
		}
		list := split(text)
		*addresses = URLs{&keptURLs{raw: &list, reference: addresses.kept.reference}}
		return
	}
	if len(addresses.secrets()) > 0 {
		l.literal(key)
	}
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }
