package store_test

import (
	"testing"

	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/store/storetest"
)

// R3.1 R3.2 R6.4
func TestStoreConformsToTheModelWhateverHappensInWhateverOrder(t *testing.T) {
	t.Parallel()
	storetest.Run(t, store.New)
}
