package function_test

import (
	"context"
	"log"

	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/supervisor"
)

// A program whose functions run in processes of their own where their flow says `isolation: process`.
func ExampleRole() {
	functions := map[string]function.Func{
		"greet": func(_ context.Context, run *function.Run) error { run.Printf("hello from %s", run.Worker); return nil },
	}
	supervisor.Main(function.Role(functions)) // first thing in main
	supervised, err := supervisor.Start(supervisor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer supervised.Close()
	executor, err := function.New(function.Config{
		Functions: functions, Process: function.ProcessConfig{Supervisor: supervised},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer executor.Close()
	// … and on to executor.NewRegistry and worker.New
}
