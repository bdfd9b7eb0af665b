package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/systole-run/systole/internal/strictjson"
)

// listOf gives the elements of a list. Text is a list too: JSON if it starts as JSON does, else comma separated.
func listOf(raw any, allowed string) ([]any, *unusable) {
	switch v := raw.(type) {
	case []any:
		return v, nil
	case string:
		if strings.HasPrefix(strings.TrimSpace(v), "[") {
			return jsonList(v, allowed)
		}
		var list []any
		for _, part := range split(v) {
			list = append(list, part)
		}
		return list, nil
	}
	return nil, &unusable{kind(raw), allowed}
}

// jsonList reads a JSON array. Its errors name places and kinds; the content may be secret.
func jsonList(text, allowed string) ([]any, *unusable) {
	var list []any
	if err := strictjson.Decode([]byte(text), &list); err != nil {
		return nil, &unusable{"JSON that cannot be read (" + strings.ReplaceAll(err.Error(), "\n", "; ") + ")", allowed}
	}
	return list, nil
}

const stringsAllowed = "a list of texts: a YAML list, JSON, or comma separated"

func decodeStrings(target *[]string, raw any) *unusable {
	list, problem := listOf(raw, stringsAllowed)
	if problem != nil {
		return problem
	}
	texts := make([]string, len(list))
	for i, element := range list {
		text, ok := element.(string)
		if !ok {
			return &unusable{fmt.Sprintf("%s as element %d", show(element), i+1), stringsAllowed}
		}
		texts[i] = text
	}
	*target = texts
	return nil
}

const prefixesAllowed = "a list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"

func decodePrefixes(target *[]netip.Prefix, raw any) *unusable {
	var texts []string
	if problem := decodeStrings(&texts, raw); problem != nil {
		return &unusable{problem.found, prefixesAllowed}
	}
	prefixes := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		prefix, ok := parsePrefix(text)
		if !ok {
			return &unusable{fmt.Sprintf("%s as element %d", quote(text), i+1), prefixesAllowed}
		}
		if prefix != prefix.Masked() {
			return &unusable{fmt.Sprintf("%s as element %d, which has host bits set", quote(text), i+1), prefix.Masked().String() + " or one address"}
		}
		prefixes[i] = prefix
	}
	*target = prefixes
	return nil
}

func parsePrefix(text string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix, !prefix.Addr().Is4In6()
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// decodeSecret notes a reference and leaves its reading to resolve, which knows whether the role needs it.
func decodeSecret(target *Secret, raw any) *unusable {
	text, ok := raw.(string)
	if !ok {
		return &unusable{kind(raw), referenceAllowed + "; a number stands in quotes"}
	}
	if text == redacted {
		return &unusable{"what `systole config show` prints in place of a secret", referenceAllowed}
	}
	*target = NewSecret(text)
	if isReference(text) {
		*target = Secret{&kept{reference: text, pending: true}}
	}
	return nil
}

const urlsAllowed = "one address, several separated by commas, or a list of them"

func decodeURLs(target *URLs, raw any) *unusable {
	if text, ok := raw.(string); ok && isReference(text) {
		*target = URLs{&keptURLs{reference: text, pending: true}}
		return nil
	}
	list, problem := listOf(raw, urlsAllowed)
	if problem != nil {
		return problem
	}
	addresses := make([]string, len(list))
	for i, element := range list {
		text, ok := element.(string)
		if !ok || text == "" {
			return &unusable{fmt.Sprintf("%s as element %d", kind(element), i+1), urlsAllowed}
		}
		addresses[i] = text
	}
	*target = urls(addresses...)
	return nil
}
