package trigger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// MinCallbackKey is how many bytes the key of callbacks has at least.
const MinCallbackKey = 32

// callbackKey signs the tokens with which receivers report: a gateway that has it knows a token that a worker made,
// and which attempt it is for, without asking anyone.
type callbackKey []byte

// attempt is what a token is for: one attempt at one run, until some time.
type attempt struct {
	Group string `json:"group"`
	RunID string `json:"run"`
	Fence string `json:"fence"` // the attempt's fencing token
	Until int64  `json:"until"` // Unix time in seconds
}

// purpose keeps what this key signs from being taken for anything else that it might sign.
const purpose = "systole callback v1\n"

var tokenEncoding = base64.RawURLEncoding

// sign makes a token: what it is for, a dot, and an HMAC-SHA256 over that, both in base64 for URLs.
func (k callbackKey) sign(a attempt) (string, error) {
	claims, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encode callback token: %w", err)
	}
	text := tokenEncoding.EncodeToString(claims)
	return text + "." + k.mac(text), nil
}

// open gives what a token is for, or ErrBadCredential where this key did not sign it. That its time is over is not looked at.
// Nothing of a token is decoded before its signature was found right, in constant time.
func (k callbackKey) open(token string) (attempt, error) {
	text, signature, _ := strings.Cut(token, ".")
	if !hmac.Equal([]byte(signature), []byte(k.mac(text))) {
		return attempt{}, ErrBadCredential
	}
	claims, err := tokenEncoding.DecodeString(text)
	if err != nil {
		return attempt{}, ErrBadCredential
	}
	var a attempt
	if err := json.Unmarshal(claims, &a); err != nil {
		return attempt{}, ErrBadCredential
	}
	return a, nil
}

func (k callbackKey) mac(text string) string {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(purpose + text))
	return tokenEncoding.EncodeToString(mac.Sum(nil))
}

// over reports whether the time of the attempt has passed.
func (a attempt) over(now time.Time) bool { return now.Unix() > a.Until }
