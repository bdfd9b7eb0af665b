// Package manifest reads DataFlow definitions from YAML, and describes that YAML to editors as a JSON Schema.
//
// It owns the way from bytes to store.DataFlow: splitting files into documents, the positions of every field, and the
// wording of what is wrong. It does not own what a valid DataFlow is (store.DataFlow.Validate does), and it talks to
// nothing but the file system.
//
// What always holds: a file gives all its flows or none; every error of every file is reported at once, with file,
// line, column, field, what was found and what is allowed; a key that is not understood is an error; and no input,
// however built, takes more than bounded time and memory: files end at 1 MiB, documents at 5,000 tokens, and aliases
// count as what they expand to.
package manifest
