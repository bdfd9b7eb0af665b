package webhook

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/systole-run/systole/executor"
)

// signingPrefix marks a secret as one of Standard Webhooks, and what follows as base64.
const signingPrefix = "whsec_"

// Bounds of a signing key in bytes, as Standard Webhooks has them.
const (
	minSigningKey = 24
	maxSigningKey = 64
)

// signatures gives the webhook-signature of a body: one for each secret, so that a receiver that knows any of them can
// check it, and a secret is exchanged without a gap.
func signatures(task executor.Task, at time.Time, body []byte) (string, error) {
	var all []string
	for i, reference := range task.Flow.HTTP.Sign {
		secret, err := task.Reveal(reference)
		if err != nil {
			return "", fmt.Errorf("sign request: %w", err)
		}
		key, err := signingKey(secret)
		if err != nil {
			return "", fmt.Errorf("sign request with http.sign[%d] (%s): %w", i, reference, err)
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return "", fmt.Errorf("sign request: %w", err)
		}
		signature, err := signer.Sign(task.OccurrenceID, at, body)
		if err != nil {
			return "", fmt.Errorf("sign request: %w", err)
		}
		all = append(all, signature)
	}
	return strings.Join(all, " "), nil
}

// signingKey decodes a secret. Its error tells nothing of it but its length.
func signingKey(secret string) ([]byte, error) {
	encoded, marked := strings.CutPrefix(secret, signingPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !marked || err != nil || len(key) < minSigningKey || len(key) > maxSigningKey {
		return nil, fmt.Errorf("found a secret of %d bytes, allowed is %s and the base64 of a key of %d to %d bytes", len(secret), signingPrefix, minSigningKey, maxSigningKey)
	}
	return key, nil
}
