package executor

import (
	"fmt"
	"io"
	"strings"

	"github.com/systole-run/systole/store"
)

// Secrets are what the references to secrets in a flow stand for, during one run. Package secrets has them. Safe for
// concurrent use.
type Secrets interface {
	// Reveal gives the secret that a reference of the flow stands for; ok is false for any other text.
	Reveal(reference string) (secret string, ok bool)
	// Conceal gives a writer for one stream, which passes on what is written to it without the secrets. Close passes on
	// what it holds back, and leaves next open.
	Conceal(next io.Writer) io.WriteCloser
}

// Reveal gives a setting of the flow as it is to be used: the secret, where the setting is a reference to one. Its error
// is permanent: a reference is never used as it stands.
func (t Task) Reveal(setting string) (string, error) {
	if !store.IsSecretRef(setting) {
		return setting, nil
	}
	if t.Secrets != nil {
		if secret, ok := t.Secrets.Reveal(setting); ok {
			return secret, nil
		}
	}
	return "", Permanent(fmt.Errorf("use secret: found %s, and this worker has no secrets", setting))
}

// Conceal gives a writer for one stream of the run's output, which passes on to next what is written to it without the
// run's secrets. It holds back what may be the start of one, until Close, which leaves next open. Whatever cuts a text
// comes after it: half a secret is not found any more.
func (t Task) Conceal(next io.Writer) io.WriteCloser {
	if t.Secrets == nil {
		return unclosed{next}
	}
	return t.Secrets.Conceal(next)
}

// Concealed gives a text without the run's secrets.
func (t Task) Concealed(text string) string {
	if t.Secrets == nil {
		return text
	}
	var out strings.Builder
	concealing := t.Secrets.Conceal(&out)
	_, _ = io.WriteString(concealing, text) // into memory
	_ = concealing.Close()
	return out.String()
}

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }
