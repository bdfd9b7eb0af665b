package store

import (
	"fmt"
	"strings"

	"github.com/netresearch/go-cron"
)

// cronFields are the fields of a cron expression in their order, what each may hold, and an expression that is right.
var cronFields = [5]struct{ name, allowed, example string }{
	{"minute", "0 to 59", "*/5 * * * *"},
	{"hour", "0 to 23", "0 8-18/2 * * *"},
	{"day of month", "1 to 31", "0 6 1,15 * *"},
	{"month", "1 to 12 or JAN to DEC", "0 6 1 JAN-MAR *"},
	{"day of week", "0 to 7 (0 and 7 are Sunday) or SUN to SAT", "0 6 * * MON-FRI"},
}

// wrongCron names each field of an expression that the parser refuses, with its place in the expression.
func wrongCron(spec string) InvalidError {
	fields := strings.Fields(spec)
	if strings.HasPrefix(spec, "@") || len(spec) > cron.MaxSpecLength {
		return InvalidError{{Field: "cron", Found: quoted(spec), Allowed: cronAllowed}}
	}
	if len(fields) != len(cronFields) {
		return InvalidError{{Field: "cron", Found: fmt.Sprintf("%s, of %d fields", quoted(spec), len(fields)), Allowed: cronAllowed}}
	}
	var invalid InvalidError
	for i, field := range cronFields {
		alone := strings.Fields("* * * * *")
		alone[i] = fields[i]
		if _, err := cronParser.Parse(strings.Join(alone, " ")); err != nil {
			invalid = append(invalid, FieldError{
				Field:   "cron",
				Found:   fmt.Sprintf("field %d (%s) %s", i+1, field.name, quoted(fields[i])),
				Allowed: fmt.Sprintf("%s, *, lists (a,b), ranges (a-b) and steps (*/n) of these, such as %q", field.allowed, field.example),
			})
		}
	}
	if invalid == nil {
		return InvalidError{{Field: "cron", Found: quoted(spec), Allowed: cronAllowed}}
	}
	return invalid
}
