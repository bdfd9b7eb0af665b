package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

const (
	shortestSpelling = 5  // of those that differ from the secret itself: a shorter one may be an ordinary word
	shortestLine     = 16 // of a secret of several lines, which is often printed line by line
)

// Spellings are the ways in which programs write a text into their output: as it is, quoted, escaped for a URL or for
// JSON, in hex and in base64, there also as a part of something longer. Each is there once.
func Spellings(text string) []string {
	forms := append(escaped(text), encoded([]byte(text))...)
	if strings.ContainsRune(text, '\n') {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				forms = append(forms, line)
			}
		}
	}
	seen := map[string]bool{text: true}
	spellings := []string{text}
	for _, form := range forms {
		if len(form) >= shortestSpelling && !seen[form] {
			seen[form] = true
			spellings = append(spellings, form)
		}
	}
	return spellings
}

func escaped(text string) []string {
	quoted, ascii := strconv.Quote(text), strconv.QuoteToASCII(text)
	inJSON, _ := json.Marshal(text) // a string always encodes
	return []string{
		quoted[1 : len(quoted)-1], ascii[1 : len(ascii)-1], string(inJSON[1 : len(inJSON)-1]), plainJSON(text),
		url.QueryEscape(text), url.PathEscape(text), (&url.URL{Path: text}).EscapedPath(), (&url.URL{Fragment: text}).EscapedFragment(),
		url.User(text).String(),
	}
}

// plainJSON is the text in JSON as most languages write it, with <, > and & as they are.
func plainJSON(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // into memory, and a string always encodes
	line := strings.TrimSuffix(out.String(), "\n")
	return line[1 : len(line)-1]
}

func encoded(text []byte) []string {
	inHex := hex.EncodeToString(text)
	forms := []string{inHex, strings.ToUpper(inHex)}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, encoding.EncodeToString(text)) // padding tells nothing
		for before := range 3 {
			forms = append(forms, within(encoding, text, before))
		}
	}
	return forms
}

// within is what base64 makes of the text where so many bytes stand before it and some after it: the characters that
// depend on nothing but the text. Basic authentication has its password so.
func within(encoding *base64.Encoding, text []byte, before int) string {
	const bitsEach = 6
	whole := encoding.EncodeToString(append(make([]byte, before), text...))
	first := (before*8 + bitsEach - 1) / bitsEach
	last := (before + len(text)) * 8 / bitsEach
	return whole[min(first, last):last]
}
