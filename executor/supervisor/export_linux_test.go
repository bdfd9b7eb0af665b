package supervisor

import "time"

// WithPatience has supervisors replaced sooner.
func WithPatience(cfg Config, patience time.Duration) Config {
	cfg.patience = patience
	return cfg
}
