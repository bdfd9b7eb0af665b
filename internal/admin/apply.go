package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/strictjson"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// applyWidth is how many flows of a batch are written at a time: each takes several round trips to Redis.
const applyWidth = 8

// applyFlows writes a batch. Everything that can be wrong with it is checked first, so that only an outage can leave it half
// done; sending it again then does the rest.
func (a *API) applyFlows(ctx context.Context, in *struct {
	RawBody []byte `contentType:"application/json"`
},
) (*out[wire.Applied], error) {
	flows, err := decodeBatch(in.RawBody)
	if err != nil {
		return nil, err
	}
	for _, flow := range flows {
		if err := authorize(ctx, flow.Group, trigger.ScopeWrite); err != nil {
			return nil, err
		}
	}
	results := make([]wire.FlowChange, len(flows))
	writers, ctx := errgroup.WithContext(ctx)
	writers.SetLimit(applyWidth)
	for i, flow := range flows {
		writers.Go(func() (err error) {
			results[i], err = a.putOne(ctx, flow)
			return err
		})
	}
	if err := writers.Wait(); err != nil {
		return nil, fmt.Errorf("apply flows: %w", err)
	}
	return &out[wire.Applied]{wire.Applied{Results: results}}, nil
}

// decodeBatch reads a batch and lists everything that is wrong with any of its flows.
func decodeBatch(body []byte) ([]store.DataFlow, error) {
	var batch struct {
		Flows []json.RawMessage `json:"flows"`
	}
	if err := strictjson.Decode(body, &batch); err != nil {
		return nil, malformed(err)
	}
	if len(batch.Flows) < 1 || len(batch.Flows) > wire.MaxApply {
		return nil, refuse(http.StatusBadRequest, "the batch cannot be taken", store.FieldError{
			Field: "flows", Found: strconv.Itoa(len(batch.Flows)) + " flows", Allowed: "1 to " + strconv.Itoa(wire.MaxApply),
		})
	}
	flows := make([]store.DataFlow, len(batch.Flows))
	status := http.StatusUnprocessableEntity
	var wrong []store.FieldError
	for i, raw := range batch.Flows {
		flow, err := decodeFlow(raw, "", "")
		var r *refusal
		if errors.As(err, &r) {
			status = min(status, r.Status)
			wrong = append(wrong, prefixed(fmt.Sprintf("flows[%d]", i), r.Errors)...)
		}
		flows[i] = flow
	}
	if wrong = append(wrong, doubled(flows)...); len(wrong) > 0 {
		return nil, refuse(status, "the flows cannot be taken, and none was written; errors lists everything", wrong...)
	}
	return flows, nil
}

// doubled reports flows that a batch has twice: which one counts would be anyone's guess.
func doubled(flows []store.DataFlow) []store.FieldError {
	var wrong []store.FieldError
	first := map[[2]string]int{}
	for i, flow := range flows {
		id := [2]string{flow.Group, flow.Name}
		if earlier, taken := first[id]; taken && flow.Name != "" {
			wrong = append(wrong, store.FieldError{
				Field: fmt.Sprintf("flows[%d].name", i), Found: fmt.Sprintf("%q, as in flows[%d]", flow.Name, earlier), Allowed: "each name once in a group",
			})
			continue
		}
		first[id] = i
	}
	return wrong
}

// prefixed says of which part of the body the fields are.
func prefixed(parent string, fields []store.FieldError) []store.FieldError {
	for i := range fields {
		if fields[i].Field == "" {
			fields[i].Field = parent
		} else {
			fields[i].Field = parent + "." + fields[i].Field
		}
	}
	return fields
}
