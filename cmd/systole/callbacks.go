package main

import (
	"crypto/rand"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/trigger"
)

// newCallbacks makes what brings callbacks from gateways to workers, as the settings say; nil where they set no key, or
// where a worker knows no URL to tell to receivers.
func (p *process) newCallbacks(nc *nats.Conn) (*trigger.Callbacks, error) {
	cfg := p.cfg.Callback
	if cfg.Key.IsZero() {
		return nil, nil
	}
	return p.makeCallbacks(nc, cfg.Key.Reveal(), cfg.URL)
}

// newDevCallbacks makes callbacks for a gateway and a worker in one process, which need no settings for them.
func (p *process) newDevCallbacks(nc *nats.Conn, server string) (*trigger.Callbacks, error) {
	key, url := p.cfg.Callback.Key.Reveal(), p.cfg.Callback.URL
	if key == "" {
		key = rand.Text() + rand.Text()
	}
	if url == "" {
		url = server + p.cfg.Gateway.CallbackPath
	}
	return p.makeCallbacks(nc, key, url)
}

func (p *process) makeCallbacks(nc *nats.Conn, key, url string) (*trigger.Callbacks, error) {
	callbacks, err := trigger.NewCallbacks(nc, trigger.CallbacksConfig{Prefix: p.cfg.NATS.Prefix, Key: []byte(key), URL: url})
	if err != nil {
		return nil, fmt.Errorf("callback: %w", err)
	}
	p.onClose(callbacks.Close)
	return callbacks, nil
}
