// Hello is a flow as a WebAssembly module: the runtime gives it its parameters and nothing else of the machine it runs on.
//
//	GOOS=wasip1 GOARCH=wasm go build -o examples/wasm/hello.wasm ./examples/wasm
//	SYSTOLE_EXECUTOR__WASM__DIR=examples/wasm systole dev --flows examples/wasm
//
// Any language that compiles to WASI preview 1 does as well. Parameters come as JSON on standard input, the run is in the
// environment, and what is written is the run's log. If all of standard output is a JSON object, it may carry a message
// and the new cursor, which the next run finds in SYSTOLE_CURSOR.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// params are what a run on demand may be given.
type params struct {
	Name string `json:"name"`
}

// answer is what the runtime keeps of a run.
type answer struct {
	Message string `json:"message"`
	Cursor  string `json:"cursor"`
}

func main() {
	if err := hello(os.Stdin, os.Stdout, os.Getenv("SYSTOLE_CURSOR")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// hello greets, and counts how often it has.
func hello(in io.Reader, out io.Writer, cursor string) error {
	who := params{Name: "world"}
	if err := json.NewDecoder(in).Decode(&who); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read params: %w", err)
	}
	count, err := strconv.Atoi(cursor)
	if err != nil && cursor != "" {
		return fmt.Errorf("read cursor: %w", err)
	}
	count++
	return json.NewEncoder(out).Encode(answer{Message: fmt.Sprintf("hello %s, time %d", who.Name, count), Cursor: strconv.Itoa(count)})
}
