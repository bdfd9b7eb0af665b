package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile is how many bytes a configuration file may have.
const maxFile = 1 << 20

// fileLayer reads the YAML file into values by key, and reports whatever in it is not a setting.
func (l *loader) fileLayer() map[string]any {
	values := map[string]any{}
	if l.File == "" {
		return values
	}
	data, err := l.readFile()
	if err != nil {
		l.report(Problem{Source: Source{File: l.File}, Found: "a file that cannot be read (" + reason(err) + ")", Allowed: "a YAML file of up to 1 MiB"})
		return values
	}
	root, problem := parseYAML(data)
	if problem != nil {
		problem.Source.File = l.File
		l.report(*problem)
		return values
	}
	if root != nil {
		f := fileReader{loader: l, values: values}
		f.section("", root)
	}
	return values
}

func (l *loader) readFile() ([]byte, error) {
	file, err := os.Open(l.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	l.exposed = info.Mode().Perm()&0o077 != 0
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("it is larger")
	}
	return data, err
}

// parseYAML gives the one document of a file; nil if it is empty. The problem has a line and no file.
func parseYAML(data []byte) (root ast.Node, problem *Problem) {
	defer func() { // on a reload, not even a fault of the parser may end the process
		if recover() != nil {
			root, problem = nil, &Problem{Found: "text that the YAML parser cannot cope with", Allowed: yamlAllowed}
		}
	}()
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))) // a byte order mark, which editors add
	if line := nestedTooDeep(tokens); line > 0 {
		return nil, &Problem{Source: Source{Line: line}, Found: fmt.Sprintf("lists or mappings more than %d deep in one line", maxNested), Allowed: "settings, which are not"}
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxProblem(err)
	}
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		if root != nil {
			return nil, &Problem{Source: Source{Line: lineOf(document.Body)}, Found: "a second document", Allowed: "one document"}
		}
		root = document.Body
	}
	return root, nil
}

// maxNested bounds what one line may nest. The parser takes memory by the square of the depth, and a megabyte of brackets is more
// than a machine has.
const maxNested = 64

// nestedTooDeep gives the line where the tokens nest deeper than that; 0 if they do not.
func nestedTooDeep(tokens token.Tokens) (line int) {
	brackets, entries, of := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType: // - - - a
			if t.Position.Line != of {
				entries, of = 0, t.Position.Line
			}
			entries++
		}
		if max(brackets, entries) > maxNested {
			return t.Position.Line
		}
	}
	return 0
}

const yamlAllowed = "valid YAML"

// quoted finds what a parser's message may quote from the file, which could be a secret.
var quoted = regexp.MustCompile("`[^`]*`|\"[^\"]*\"|'[^']*'")

// syntaxProblem gives place and message of a syntax error, but not the lines of the file that the parser adds.
func syntaxProblem(err error) *Problem {
	problem := &Problem{Found: "text that is not valid YAML", Allowed: yamlAllowed}
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		problem.Found += " (" + quoted.ReplaceAllString(syntax.GetMessage(), "…") + ")"
		if token := syntax.GetToken(); token != nil && token.Position != nil {
			problem.Source.Line = token.Position.Line
			problem.Found += fmt.Sprintf(" in column %d", token.Position.Column)
		}
	}
	return problem
}

func lineOf(node ast.Node) int {
	if node == nil {
		return 0
	}
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		node = mapping.Values[0].Key
	}
	if value, ok := node.(*ast.MappingValueNode); ok {
		node = value.Key
	}
	if token := node.GetToken(); token != nil && token.Position != nil {
		return token.Position.Line
	}
	return 0
}
