// Package secrets gives runs the secrets that their flows refer to, and keeps those secrets out of all that a run leaves
// behind.
//
// It owns the looking up (env:NAME in the worker's environment, file:/path on the worker, secret:NAME in a folder of
// files, as Kubernetes and Docker mount them), the operator's rules for who may use which, and the guard around an
// executor that reveals on the way in and conceals on the way out. How a reference is written is store's, how a secret
// is found in a text is internal/secret's.
//
//	task with references ──> Guard: may the flow? look up ──> executor: Task.Reveal where a setting is used
//	result, log without <── conceal <──────────────────────── result, log, panic
//
// What always holds: secrets are closed to every flow unless a rule opens them; they are looked up for each run, so that
// one which was exchanged is used from the next run on; a flow that may not use a secret, or refers to none, fails at
// once and for good, with the reference in the reason and nothing of the secret; and neither the log, the error, the
// message nor the cursor of a run has one of its secrets in it, in any of the usual spellings.
//
// What it cannot do: hide a secret that a flow disguises on purpose, or sends elsewhere. A flow can be trusted with what
// a rule opens to it, or the rule is wrong.
package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/systole-run/systole/internal/secret"
	"github.com/systole-run/systole/store"
)

// Config of Secrets. The zero value opens none.
type Config struct {
	// Allow are the rules, each "group/flow reference", where * stands for any text without a slash:
	// "billing/* secret:billing-*", "default/orders-sync env:SHOP_TOKEN".
	Allow []string
	// Dir is the folder in which secret:NAME is a file; none if empty.
	Dir string
	// LookupEnv looks a variable up for env:NAME; default os.LookupEnv.
	LookupEnv func(name string) (value string, set bool)
}

// Secrets looks secrets up. It is immutable and safe for concurrent use.
type Secrets struct {
	cfg   Config
	rules []secret.Rule
}

// New gives Secrets. Its error names the field at fault.
func New(cfg Config) (*Secrets, error) {
	s := &Secrets{cfg: cfg}
	for i, text := range cfg.Allow {
		rule, err := secret.ParseRule(text)
		if err != nil {
			return nil, fmt.Errorf("new secrets: Allow[%d]: %w", i, err)
		}
		s.rules = append(s.rules, rule)
	}
	if s.cfg.LookupEnv == nil {
		s.cfg.LookupEnv = os.LookupEnv
	}
	return s, nil
}

// Why a secret cannot be used. Each reads on after the reference.
var (
	errClosed = errors.New("is open to the flow by no rule of executor.secrets.allow")
	errUnset  = errors.New("is not set in the worker's environment")
	errNoDir  = errors.New("is in a folder, and executor.secrets.dir names none")
	errShort  = fmt.Errorf("has fewer than %d bytes, which cannot be kept out of a log", secret.MinBytes)
)

// Check holds the secrets that a flow refers to against the rules, without looking any of them up. The error is a
// store.InvalidError.
func (s *Secrets) Check(flow store.DataFlow) error {
	return s.check(flow, func(reference string) error {
		if !s.open(flow, reference) {
			return errClosed
		}
		return nil
	})
}

// CheckHere does what Check does, and also sees whether each secret is there: for where the flow's runs look it up, too.
func (s *Secrets) CheckHere(flow store.DataFlow) error {
	return s.check(flow, func(reference string) error { _, err := s.lookUp(flow, reference); return err })
}

func (s *Secrets) check(flow store.DataFlow, usable func(reference string) error) error {
	var invalid store.InvalidError
	references := flow.SecretRefs()
	for _, field := range sorted(references) {
		if err := usable(references[field]); err != nil {
			invalid = append(invalid, store.FieldError{
				Field: field, Found: fmt.Sprintf("%s, which %v", references[field], err), Allowed: "a secret that is there and that executor.secrets.allow opens to the flow",
			})
		}
	}
	if len(invalid) == 0 {
		return nil
	}
	return invalid
}

func (s *Secrets) open(flow store.DataFlow, reference string) bool {
	name := flow.Group + "/" + flow.Name
	for _, rule := range s.rules {
		if rule.Opens(name, reference) {
			return true
		}
	}
	return false
}

// lookUp gives the secret of a reference to a flow that may use it. Whether there is one is told only to those.
func (s *Secrets) lookUp(flow store.DataFlow, reference string) (string, error) {
	if !s.open(flow, reference) {
		return "", errClosed
	}
	kind, name, _ := strings.Cut(reference, ":")
	var text string
	var err error
	switch kind {
	case "env":
		text, err = s.fromEnvironment(name)
	case "file":
		text, err = secret.ReadFile(name)
	default:
		text, err = s.fromFolder(name)
	}
	if err == nil && len(text) < secret.MinBytes {
		err = errShort
	}
	if err != nil {
		return "", err
	}
	return text, nil
}

func (s *Secrets) fromEnvironment(name string) (string, error) {
	text, set := s.cfg.LookupEnv(name)
	if !set {
		return "", errUnset
	}
	return secret.Trim(text)
}

// exchanges is how often a secret is looked for again that is not there: where Kubernetes exchanges the folder's content
// while the links to it are followed, they lead nowhere for a moment.
const exchanges = 3

func (s *Secrets) fromFolder(name string) (text string, err error) {
	if s.cfg.Dir == "" {
		return "", errNoDir
	}
	for range exchanges {
		if text, err = secret.ReadIn(s.cfg.Dir, name); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return text, err
}
