package paramschema

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// words says what was found at a place, and what is allowed there.
func words(violation jsonschema.ErrorKind, value any) (found, allowed string) {
	found = describe(value)
	switch k := violation.(type) {
	case *kind.Type:
		return found, types(k.Want)
	case *kind.Enum:
		return found, options(k.Want)
	case *kind.Const:
		return found, literal(k.Want)
	case *kind.Format:
		return found, "text in the format " + k.Want
	case *kind.Pattern:
		return found, "text that matches " + cut(k.Want)
	case *kind.Minimum:
		return found, number(k.Want) + " or more"
	case *kind.Maximum:
		return found, number(k.Want) + " or less"
	case *kind.ExclusiveMinimum:
		return found, "more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return found, "less than " + number(k.Want)
	case *kind.MultipleOf:
		return found, "a multiple of " + number(k.Want)
	case *kind.MinLength:
		return found + ", " + count(k.Got, "character"), count(k.Want, "character") + " or more"
	case *kind.MaxLength:
		return found + ", " + count(k.Got, "character"), count(k.Want, "character") + " or less"
	case *kind.MinItems:
		return found, count(k.Want, "item") + " or more"
	case *kind.MaxItems:
		return found, count(k.Want, "item") + " or less"
	case *kind.MinProperties:
		return fmt.Sprintf("%s with %d", found, k.Got), count(k.Want, "property") + " or more"
	case *kind.MaxProperties:
		return fmt.Sprintf("%s with %d", found, k.Got), count(k.Want, "property") + " or less"
	case *kind.UniqueItems:
		return fmt.Sprintf("equal items at %d and %d", k.Duplicates[0], k.Duplicates[1]), "items that all differ"
	case *kind.Contains:
		return found, "an item that contains of the schema allows"
	case *kind.MinContains:
		return fmt.Sprintf("%d such items", len(k.Got)), count(k.Want, "item") + " or more that contains of the schema allows"
	case *kind.MaxContains:
		return fmt.Sprintf("%d such items", len(k.Got)), count(k.Want, "item") + " or less that contains of the schema allows"
	case *kind.Not:
		return found, "what not of the schema does not describe"
	}
	return found, violation.LocalizedString(message.NewPrinter(language.English))
}

func types(names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		switch name {
		case "null":
			texts[i] = "null"
		case "boolean":
			texts[i] = "true or false"
		case "integer", "object":
			texts[i] = "an " + name
		case "array":
			texts[i] = "a list"
		case "string":
			texts[i] = "text"
		default:
			texts[i] = "a " + name
		}
	}
	return strings.Join(texts, " or ")
}

func options(values []any) string {
	const most = 20
	var texts []string
	for _, value := range values[:min(len(values), most)] {
		texts = append(texts, literal(value))
	}
	if len(values) > most {
		texts = append(texts, fmt.Sprintf("%d more", len(values)-most))
	}
	return "one of " + strings.Join(texts, ", ")
}

func number(n *big.Rat) string {
	if n.IsInt() {
		return cut(n.Num().String())
	}
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "property":
		return fmt.Sprintf("%d properties", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
