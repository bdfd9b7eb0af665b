package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/paramschema"
)

// validateParams holds the schema of a run-now's parameters to what can be checked: fields start with "params".
func (f DataFlow) validateParams(invalid *InvalidError) {
	if len(f.Params) == 0 {
		return
	}
	if _, err := paramschema.Compile(f.Params); err != nil {
		*invalid = append(*invalid, schemaFaults(err)...)
	}
}

func schemaFaults(err error) InvalidError {
	var problems paramschema.Error
	if !errors.As(err, &problems) {
		return InvalidError{{Field: "params", Found: err.Error(), Allowed: "a JSON Schema"}}
	}
	return paramFaults(problems)
}

func paramFaults(problems []paramschema.Problem) (invalid InvalidError) {
	for _, problem := range problems {
		invalid = append(invalid, FieldError(problem))
	}
	return invalid
}

// checkParams holds the parameters of a run-now to the schema of its flow, where it has one. It fails with ErrNotFound for
// an unknown flow and with an InvalidError that lists everything. A run that is known already was checked when it came.
func (s *Store) checkParams(ctx context.Context, p Partition, ask RunNow) error {
	def, err := s.redis.HGet(ctx, s.key(p, "defs"), ask.Flow).Result()
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("flow %s of group %s: %w", ask.Flow, ask.Group, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("read flow: %w", translate(err))
	}
	var flow struct {
		Params json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal([]byte(def), &flow); err != nil {
		return fmt.Errorf("decode flow %s: %w", ask.Flow, err)
	}
	if len(flow.Params) == 0 {
		return nil
	}
	schema, err := paramschema.Compile(flow.Params)
	if err != nil {
		return fmt.Errorf("flow %s: %w", ask.Flow, schemaFaults(err))
	}
	problems := schema.Check(ask.Params)
	if len(problems) == 0 {
		return nil
	}
	if ask.ID != "" {
		known, err := s.redis.HExists(ctx, s.key(p, "runs"), ask.ID).Result()
		if err != nil {
			return fmt.Errorf("read run: %w", translate(err))
		}
		if known { // under an older schema
			return nil
		}
	}
	return paramFaults(problems)
}
