package wasm

import (
	"bytes"
	"testing"
)

func FuzzWhatIsBoundedStaysAsItIs(f *testing.F) {
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x04\x04\x01\x70\x00\x00\x09\x05\x01\x03\x00\x01\x00\x0a\x04\x01\x02\x00\x0b"))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x00\x0c\x04name\x01\x05\x01\x00\x02ab"))
	f.Fuzz(func(t *testing.T, code []byte) {
		once, err := bounded(code)
		if err != nil {
			return
		}
		twice, err := bounded(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q becomes %q and then %q, %v", code, once, twice, err)
		}
	})
}
