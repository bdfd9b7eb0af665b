// Guest is the module of the tests: its first argument says what it does.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	do, ok := map[string]func(args []string){
		"params": func([]string) { _, _ = io.Copy(os.Stdout, os.Stdin) },
		"print":  func(args []string) { fmt.Println(strings.Join(args, " ")) },
		"env":    func([]string) { fmt.Println(strings.Join(os.Environ(), "\n")) },
		"exit":   func([]string) { fmt.Fprintln(os.Stderr, "no such table"); os.Exit(3) },
		"panic":  func([]string) { panic("boom") },
		"loop": func([]string) {
			for i := 0; ; i++ {
				sink = i
			}
		},
		"sleep": func([]string) { time.Sleep(time.Hour) },
		"grow": func([]string) {
			var all [][]byte
			for {
				all = append(all, make([]byte, 1<<20))
				all[len(all)-1][0] = 1
				sink = len(all)
			}
		},
		"flood": func([]string) {
			for {
				fmt.Println(strings.Repeat("y", 1000))
			}
		},
		"clock":  func([]string) { fmt.Println(time.Now().Year()) },
		"random": func([]string) { random() },
		"read":   read,
		"write":  write,
		"list":   list,
		"hoard":  hoard,
		"reach":  reach,
	}[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "unknown:", os.Args[1])
		os.Exit(2)
	}
	do(os.Args[2:])
}

var sink int

func random() {
	file := make([]byte, 8)
	// Go's runtime asks WASI for random numbers to seed its maps with.
	for i := range file {
		file[i] = byte(len(fmt.Sprint(&file[i])))
	}
	m := map[int]bool{}
	for i := range 100 {
		m[i] = true
	}
	for i := range m {
		fmt.Print(i, " ")
	}
	fmt.Println()
}

func read(args []string) {
	for _, name := range args {
		text, err := os.ReadFile(name)
		fmt.Printf("%s: %q %v\n", name, text, err)
	}
}

func write(args []string) {
	for _, name := range args {
		fmt.Println(name, os.WriteFile(name, []byte("overwritten"), 0o600) == nil, os.Remove(name) == nil, os.Mkdir(name+".d", 0o700) == nil)
	}
}

func list(args []string) {
	for _, name := range args {
		entries, err := os.ReadDir(name)
		fmt.Println(name, entries, err)
	}
}

// hoard opens a file over and over and closes none, and then once more after it has closed one.
func hoard(args []string) {
	var open []*os.File
	for range 100_000 {
		file, err := os.Open(args[0])
		if err != nil {
			fmt.Println(len(open) > 0, err)
			break
		}
		open = append(open, file)
	}
	_ = open[0].Close()
	_, err := os.Open(args[0])
	fmt.Println(err)
}

func reach([]string) {
	_, err := net.Dial("tcp", "127.0.0.1:80")
	fmt.Println("dial", err == nil)
	_, err = net.Listen("tcp", "127.0.0.1:0")
	fmt.Println("listen in the guest's own memory", err == nil)
	fmt.Println("exec", exec.Command("/bin/true").Run() == nil)
}
