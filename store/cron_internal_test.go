package store

import (
	"fmt"
	"reflect"
	"testing"
)

func TestWhatIsRememberedOfParsingIsBoundedAndTheSameAsParsingAnew(t *testing.T) {
	t.Parallel()
	var cache cronCache
	for n := range mostParsed + 10 {
		spec := fmt.Sprintf("%d %d %d * *", n%60, n/60%24, n/1440+1)
		for range 2 {
			got, err := cache.of(spec, "Europe/Berlin")
			want, invalid := parseCron(spec, "Europe/Berlin")
			if err != nil || invalid != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %+v, %v; want %+v, %v", spec, got, err, want, invalid)
			}
		}
		if len(cache.known) > mostParsed {
			t.Fatalf("%d are remembered", len(cache.known))
		}
	}
	if utc, err := cache.of("0 0 1 * *", ""); err != nil || utc.zone.String() != "UTC" {
		t.Errorf("another zone: %+v, %v", utc, err)
	}
	for range 2 {
		if _, err := cache.of("0 0 31 2 *", ""); err == nil {
			t.Error("an expression that no date meets is remembered")
		}
	}
}

func BenchmarkScheduleOfACronFlow(b *testing.B) {
	flow := DataFlow{Cron: "30 9 * * 1-5", Timezone: "Europe/Berlin"}
	for b.Loop() {
		if _, err := flow.Schedule(); err != nil {
			b.Fatal(err)
		}
	}
}
