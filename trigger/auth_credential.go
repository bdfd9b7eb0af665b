package trigger

import (
	"net/http"
	"slices"
	"strings"
)

// HeaderToken carries a token where Authorization is taken, by a proxy's own credential for instance.
const HeaderToken = "X-Heartbeat-Token"

// bearers takes the tokens out of the headers. other tells of an Authorization of another scheme, such as Basic.
func bearers(header http.Header) (tokens []string, other bool) {
	tokens = slices.Clone(header.Values(HeaderToken))
	for _, value := range header.Values("Authorization") {
		scheme, token, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Bearer") {
			tokens = append(tokens, strings.TrimLeft(token, " "))
		} else {
			other = true
		}
	}
	return tokens, other
}

// single refuses two tokens: which one counts would be anyone's guess.
func single(tokens []string) (string, error) {
	switch {
	case len(tokens) > 1:
		return "", refusedAs(KindToken, ReasonSeveral)
	case tokens[0] == "":
		return "", refusedAs(KindToken, ReasonForm)
	}
	return tokens[0], nil
}

// credential takes the one token out of the headers where no other kind of credential will do.
func credential(header http.Header) (string, error) {
	tokens, other := bearers(header)
	switch {
	case len(tokens) > 0:
		return single(tokens)
	case other:
		return "", refusedAs("", ReasonScheme)
	}
	return "", &RefusedError{Reason: ReasonNone, err: ErrNoCredential}
}
