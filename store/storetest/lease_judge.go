package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// judgement bounds how long judging the history of a flow may take; it is a matter of milliseconds.
const judgement = time.Minute

// judge gives what is wrong with a history, or "".
func judge(history []porcupine.Operation) string {
	for _, part := range byFlow(history) {
		result, info := porcupine.CheckOperationsVerbose(leaseModel, part, judgement)
		if result == porcupine.Ok {
			continue
		}
		return complain(part, info)
	}
	return ""
}

// complain shows the longest order that could be found, and what cannot follow it.
func complain(part []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, partial := range info.PartialLinearizations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	const shown = 10
	ends, left := longest[max(0, len(longest)-shown):], unexplained(part, longest)
	text := fmt.Sprintf("of %d steps, no order explains more than %d, the last of them\n", len(part), len(longest))
	for _, id := range ends {
		text += tell(part[id])
	}
	text += fmt.Sprintf("after which the flow is at %s, and none of these can come next:\n", stateAfter(part, longest))
	for _, op := range left[:min(len(left), shown)] {
		text += tell(op)
	}
	return text
}

func tell(op porcupine.Operation) string {
	return fmt.Sprintf("  client %d, %s\n", op.ClientId, describe(op.Input.(step), op.Output.(answer)))
}

// stateAfter is where the flow stands at the end of an order.
func stateAfter(part []porcupine.Operation, order []int) flowLease {
	var state flowLease
	for _, id := range order {
		_, state = state.after(part[id].Input.(step), part[id].Output.(answer))
	}
	return state
}

// unexplained gives the steps that an order leaves out, as they began.
func unexplained(part []porcupine.Operation, order []int) []porcupine.Operation {
	var left []porcupine.Operation
	for id, op := range part {
		if !slices.Contains(order, id) {
			left = append(left, op)
		}
	}
	slices.SortFunc(left, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return left
}
