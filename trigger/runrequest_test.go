package trigger

import (
	"testing"
	"time"
)

// R2.5: a signed request has the same place however often the stream takes it.
func TestASignedRunRequestHasThePlaceOfItsSignature(t *testing.T) {
	t.Parallel()
	stored := time.Unix(1_800_000_100, 0).UTC()
	created := time.Unix(1_800_000_000, 0).UTC()
	id := signedID("cron", signature{created: created, value: []byte("signed")})
	for _, test := range []struct {
		id      string
		at      time.Time
		sameSeq bool
	}{
		{id, created, false},
		{"hmac/cron/1800000000/short", stored, true},
		{"hmac:key", stored, true},
		{"", stored, true},
	} {
		first, one := RunRequest{ID: "key", Signed: test.id, StoredAt: stored, Seq: 1}.Place()
		_, two := RunRequest{ID: "key", Signed: test.id, StoredAt: stored, Seq: 2}.Place()
		if !first.Equal(test.at) || (one == 1 && two == 2) != test.sameSeq || (one == two) == test.sameSeq {
			t.Errorf("%q: places are %s and %d, %d", test.id, first, one, two)
		}
	}
}
