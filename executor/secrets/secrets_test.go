package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/secrets"
	"github.com/systole-run/systole/store"
)

const token = "tok-3n-hunter22"

// executorFunc is an executor of the test's own.
type executorFunc func(ctx context.Context, task executor.Task) executor.Result

func (f executorFunc) Execute(ctx context.Context, task executor.Task) executor.Result {
	return f(ctx, task)
}

func newSecrets(t *testing.T, cfg secrets.Config) *secrets.Secrets {
	t.Helper()
	if cfg.LookupEnv == nil {
		cfg.LookupEnv = func(name string) (string, bool) {
			value, set := map[string]string{"TOKEN": token + "\n", "EMPTY": "", "SHORT": "abc"}[name]
			return value, set
		}
	}
	s, err := secrets.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// flow is one whose environment has these settings.
func flow(settings ...string) store.DataFlow {
	env := map[string]string{}
	for i, setting := range settings {
		env[fmt.Sprint("V", i)] = setting
	}
	return store.DataFlow{Name: "orders", Exec: &store.ExecSpec{Command: []string{"x"}, Env: env}}.WithDefaults()
}

// run executes a flow through a guard, and gives what came of it and the log.
func run(s *secrets.Secrets, f store.DataFlow, do executorFunc) (executor.Result, string) {
	log := executor.NewTail(0)
	result := s.Guard(do).Execute(context.Background(), executor.Task{Flow: f, Log: log})
	return result, string(log.Snapshot())
}

func unreached(t *testing.T) executorFunc {
	return func(context.Context, executor.Task) executor.Result {
		t.Error("the run was started")
		return executor.Result{}
	}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestARunGetsTheSecretsThatItsFlowRefersTo(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"db/password": "from the folder\n", "file": "from a file\n"})
	file := "file:" + filepath.Join(dir, "file")
	s := newSecrets(t, secrets.Config{Dir: dir, Allow: []string{"default/* env:*", "default/orders secret:db/*", "*/* " + file}})
	var got []string
	result, _ := run(s, flow("env:TOKEN", "secret:db/password", file, "plain"), func(_ context.Context, task executor.Task) executor.Result {
		for i := range 4 {
			value, err := task.Reveal(task.Flow.Exec.Env[fmt.Sprint("V", i)])
			if err != nil {
				t.Error(err)
			}
			got = append(got, value)
		}
		if _, err := task.Reveal("env:EMPTY"); !executor.IsPermanent(err) {
			t.Errorf("a reference that is not the flow's gives %v", err)
		}
		return executor.Result{Message: "done"}
	})
	if want := fmt.Sprint([]string{token, "from the folder", "from a file", "plain"}); fmt.Sprint(got) != want || result.Err != nil || result.Message != "done" {
		t.Errorf("got %v and %+v, want %v", got, result, want)
	}
}

func TestASecretThatWasExchangedIsUsedFromTheNextRunOn(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a": "first"})
	s := newSecrets(t, secrets.Config{Dir: dir, Allow: []string{"default/orders secret:a"}})
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		run(s, flow("secret:a"), func(_ context.Context, task executor.Task) executor.Result {
			if got, err := task.Reveal("secret:a"); got != want || err != nil {
				t.Errorf("got %q and %v, want %q", got, err, want)
			}
			return executor.Result{}
		})
	}
}

func TestARunFailsForGoodWithTheNameOfTheSecretThatItCannotUse(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"there": "some secret"})
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	open := []string{"default/orders env:*", "default/orders secret:*", "default/orders file:/*"}
	for _, test := range []struct {
		name, reference, why string
		cfg                  secrets.Config
	}{
		{"no rule at all", "env:TOKEN", "open to the flow by no rule", secrets.Config{}},
		{"a rule for another flow", "env:TOKEN", "open to the flow by no rule", secrets.Config{Allow: []string{"default/other env:TOKEN", "other/orders env:TOKEN"}}},
		{"a rule for another secret", "env:TOKEN", "open to the flow by no rule", secrets.Config{Allow: []string{"default/orders env:TOKENS"}}},
		{"closed, and not there", "secret:none", "open to the flow by no rule", secrets.Config{Dir: dir}},
		{"a variable that is not set", "env:NONE", "not set", secrets.Config{Allow: open}},
		{"a variable that is empty", "env:EMPTY", "is empty", secrets.Config{Allow: open}},
		{"a secret that is too short", "env:SHORT", "fewer than 4 bytes", secrets.Config{Allow: open}},
		{"a file that is missing", "file:/nowhere", "no such file", secrets.Config{Allow: open}},
		{"no folder", "secret:there", "executor.secrets.dir", secrets.Config{Allow: open}},
		{"not in the folder", "secret:none", "no such file", secrets.Config{Allow: open, Dir: dir}},
		{"a link out of the folder", "secret:out", "escapes", secrets.Config{Allow: open, Dir: dir}},
	} {
		s := newSecrets(t, test.cfg)
		result, log := run(s, flow(test.reference), unreached(t))
		if result.Err == nil || result.Reason != store.ReasonRefused || !result.Permanent {
			t.Errorf("%s: got %+v", test.name, result)
			continue
		}
		for _, want := range []string{test.reference, test.why, "exec.env.V0"} {
			if !strings.Contains(result.Err.Error(), want) {
				t.Errorf("%s: %q does not say %q", test.name, result.Err, want)
			}
		}
		if strings.Contains(log+result.Err.Error(), token) {
			t.Errorf("%s: the secret is told", test.name)
		}
		var invalid store.InvalidError
		if err := s.CheckHere(flow(test.reference)); !errors.As(err, &invalid) || invalid[0].Field != "exec.env.V0" || !strings.Contains(invalid[0].Found, test.why) {
			t.Errorf("%s: CheckHere gives %v", test.name, err)
		}
		if err := s.Check(flow(test.reference)); (err != nil) != strings.Contains(test.why, "no rule") {
			t.Errorf("%s: Check gives %v", test.name, err)
		}
	}
}

func TestEverySecretThatCannotBeUsedIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	result, _ := run(newSecrets(t, secrets.Config{}), flow("env:A", "env:B"), unreached(t))
	if text := result.Err.Error(); !strings.Contains(text, "env:A") || !strings.Contains(text, "env:B") {
		t.Error(text)
	}
}

func TestNothingThatARunLeavesHasASecretInIt(t *testing.T) {
	t.Parallel()
	s := newSecrets(t, secrets.Config{Allow: []string{"*/* env:TOKEN"}})
	cursor, tokenCursor := "after 41", "after "+token
	for name, test := range map[string]struct {
		do   executorFunc
		want string // of what is left
	}{
		"an error": {func(context.Context, executor.Task) executor.Result {
			return executor.Failure(store.ReasonError, executor.Permanent(fmt.Errorf("401 for %q: %w", token, io.EOF)))
		}, `401 for "[redacted]": EOF`},
		"a message": {func(context.Context, executor.Task) executor.Result {
			return executor.Result{Message: "used " + token, Cursor: &cursor}
		}, "used [redacted]"},
		"a cursor": {func(context.Context, executor.Task) executor.Result { return executor.Result{Cursor: &tokenCursor} }, "keep cursor"},
		"a log in parts": {func(_ context.Context, task executor.Task) executor.Result {
			for _, letter := range token {
				fmt.Fprintf(task.Output(), "%c", letter)
			}
			return executor.Result{}
		}, "[redacted]"},
		"the start of one": {func(_ context.Context, task executor.Task) executor.Result {
			fmt.Fprint(task.Output(), "tok-")
			return executor.Result{}
		}, "tok-"},
		"two streams": {func(_ context.Context, task executor.Task) executor.Result {
			out, errs := task.Conceal(task.Output()), task.Conceal(task.Output())
			fmt.Fprint(out, token[:5])
			fmt.Fprint(errs, "between")
			fmt.Fprint(out, token[5:])
			_, _ = out.Close(), errs.Close()
			return executor.Result{}
		}, "between[redacted]"},
		"a text": {func(_ context.Context, task executor.Task) executor.Result {
			return executor.Result{Message: executor.Clip(task.Concealed(token), 12)}
		}, "[redacted]"},
		"a panic": {func(context.Context, executor.Task) executor.Result { panic("with " + token) }, "panic: with [redacted]"},
	} {
		result, log := run(s, flow("env:TOKEN"), test.do)
		left := fmt.Sprintf("%v %s %s", result.Err, result.Message, log)
		if result.Cursor != nil {
			left += *result.Cursor
		}
		if strings.Contains(left, token) || strings.Contains(left, "hunter22") || !strings.Contains(left, test.want) {
			t.Errorf("%s: left is %q, want %q in it", name, left, test.want)
		}
		if name == "an error" && (!result.Permanent || result.Reason != store.ReasonError) {
			t.Errorf("%s: got %+v", name, result)
		}
	}
}

func TestAFlowWithoutSecretsIsLeftAlone(t *testing.T) {
	t.Parallel()
	failure := errors.New("failed")
	result, _ := run(newSecrets(t, secrets.Config{}), flow("plain"), func(_ context.Context, task executor.Task) executor.Result {
		if task.Secrets != nil {
			t.Error("it has secrets")
		}
		return executor.Failure(store.ReasonError, failure)
	})
	if !errors.Is(result.Err, failure) {
		t.Errorf("got %v", result.Err)
	}
}

func TestARuleThatIsNoneIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	_, err := secrets.New(secrets.Config{Allow: []string{"default/a env:A", "everybody"}})
	if err == nil || !strings.Contains(err.Error(), "Allow[1]") || !strings.Contains(err.Error(), `"everybody"`) {
		t.Errorf("got %v", err)
	}
}

func TestATaskDoesNotPrintItsSecrets(t *testing.T) {
	t.Parallel()
	run(newSecrets(t, secrets.Config{Allow: []string{"*/* env:*"}}), flow("env:TOKEN"), func(_ context.Context, task executor.Task) executor.Result {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, task); strings.Contains(text, token) {
				t.Errorf("%s prints %s", verb, text)
			}
		}
		return executor.Result{}
	})
}
