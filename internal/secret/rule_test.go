package secret_test

import (
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/secret"
)

func TestARuleOpensWhatItMatchesAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, flow, reference string
		opens                 bool
	}{
		{"default/orders env:SHOP", "default/orders", "env:SHOP", true},
		{"default/orders env:SHOP", "default/orders2", "env:SHOP", false},
		{"default/orders env:SHOP", "other/orders", "env:SHOP", false},
		{"default/orders env:SHOP", "default/orders", "env:SHOP2", false},
		{"default/orders env:SHOP", "default/orders", "secret:SHOP", false},
		{"*/* env:SHOP_*", "billing/a", "env:SHOP_TOKEN", true},
		{"billing/* secret:billing-*", "billing/a", "secret:billing-db", true},
		{"billing/* secret:billing-*", "billing/a", "secret:billing-db/password", false},
		{"billing/* secret:billing-*/*", "billing/a", "secret:billing-db/password", true},
		{"a/b file:/run/secrets/*", "a/b", "file:/run/secrets/x", true},
		{"a/b file:/run/secrets/*", "a/b", "file:/run/secrets/../x", false},
		{"a/b file:/run/my secrets/x", "a/b", "file:/run/my secrets/x", true},
	} {
		rule, err := secret.ParseRule(test.rule)
		if err != nil {
			t.Errorf("%s: %v", test.rule, err)
		}
		if got := rule.Opens(test.flow, test.reference); got != test.opens {
			t.Errorf("%s opens %s to %s: %t", test.rule, test.reference, test.flow, got)
		}
	}
}

func TestARuleThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "*", "env:X", "orders env:X", "default/orders", "default/orders X", "default/orders *", "default/orders file:x", "default/orders env:",
		"Default/orders env:X", "default/[a-z] env:X", "default/a file:/x[y]", `default/a file:/x\y`, "default/a/b env:X", "default/a secret:a b",
	} {
		if _, err := secret.ParseRule(text); err == nil || !strings.Contains(err.Error(), "billing/*") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
