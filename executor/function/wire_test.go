package function

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// What a function's process says may be anything: the function can write to the socket, too.
func FuzzReceiveTakesWhatWasSentAndNothingElse(f *testing.F) {
	f.Add([]byte(`{"run":1}`), uint32(9))
	f.Add([]byte(`{"run":1,"log":"aGk="}`), uint32(1<<31))
	f.Add([]byte(`[`), uint32(1))
	f.Fuzz(func(t *testing.T, body []byte, length uint32) {
		var said report
		err := receive(bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, length), body...)), &said)
		if err == nil && (length > maxMessage || int(length) > len(body)) {
			t.Errorf("took %d bytes of %d", length, len(body))
		}
		if err != nil {
			return
		}
		var sent bytes.Buffer
		var again report
		if err := (&sender{to: &sent}).send(said); err != nil {
			t.Fatal(err)
		}
		if err := receive(&sent, &again); err != nil || again.Run != said.Run || !bytes.Equal(again.Log, said.Log) {
			t.Errorf("sent %+v, got %+v, %v", said, again, err)
		}
	})
}
