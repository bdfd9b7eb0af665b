package supervisor_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/systole-run/systole/executor/supervisor"
)

// BenchmarkStart shows what each level costs beside a bare fork and exec, as the median of a command that ends at once.
//
//	go test ./executor/supervisor -run '^$' -bench Start -benchtime 300x
func BenchmarkStart(b *testing.B) {
	median := func(b *testing.B, once func()) {
		b.Helper()
		var took []time.Duration
		for b.Loop() {
			began := time.Now()
			once()
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
	}
	b.Run("os-exec", func(b *testing.B) {
		median(b, func() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		})
	})
	s := start(b)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	for _, level := range []supervisor.Level{supervisor.LevelNone, supervisor.LevelStandard, supervisor.LevelStrict} {
		b.Run(string(level), func(b *testing.B) {
			cmd := supervisor.Command{
				Path: "/bin/true", Args: []string{"true"}, Dir: "/", Files: []*os.File{null, null, null},
				Limits:  supervisor.Limits{CPU: time.Minute, Memory: 1 << 30, Processes: 100, OpenFiles: 100, FileSize: 1 << 30},
				Sandbox: supervisor.Sandbox{Level: level},
			}
			median(b, func() {
				p, err := s.Start(b.Context(), cmd)
				if err != nil {
					b.Fatal(err)
				}
				<-p.Done()
			})
		})
	}
}
