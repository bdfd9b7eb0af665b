package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyWithin bounds the start of a server.
const readyWithin = time.Minute

// NATSConfig configures an embedded NATS server. The zero value is fit for use.
type NATSConfig struct {
	Listen   string // host:port; default a free port on loopback
	StoreDir string // where JetStream keeps its data; default a folder that is removed on Close
}

// NATSServer is a NATS server with JetStream in this process.
type NATSServer struct {
	server *server.Server
	temp   string // folder to remove
}

// NATS starts a server, and returns once it takes connections.
func NATS(cfg NATSConfig) (*NATSServer, error) {
	host, port, err := address(cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := &NATSServer{}
	if cfg.StoreDir == "" {
		if s.temp, err = os.MkdirTemp("", "systole-nats-"); err != nil {
			return nil, fmt.Errorf("make store folder: %w", err)
		}
		cfg.StoreDir = s.temp
	}
	options := &server.Options{
		ServerName: "systole-dev", Host: host, Port: port, JetStream: true, StoreDir: cfg.StoreDir, NoSigs: true,
	}
	if s.server, err = server.NewServer(options); err != nil {
		s.removeTemp()
		return nil, fmt.Errorf("make NATS server: %w", err)
	}
	if err := s.start(); err != nil {
		s.Close()
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	return s, nil
}

// start returns as soon as the server takes connections or says why it never will.
func (s *NATSServer) start() error {
	faults := newFaults()
	s.server.SetLogger(faults, false, false)
	s.server.Start()
	ready := make(chan bool, 1)
	go func() { ready <- s.server.ReadyForConnections(readyWithin) }()
	select {
	case err := <-faults.fatal:
		return err
	case ok := <-ready:
		if !ok {
			return errors.New("it is not ready in time")
		}
	}
	return nil
}

// URL is the server's address.
func (s *NATSServer) URL() string { return s.server.ClientURL() }

// Close ends the server and returns once it has ended.
func (s *NATSServer) Close() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.removeTemp()
}

func (s *NATSServer) removeTemp() {
	if s.temp != "" {
		_ = os.RemoveAll(s.temp)
	}
}

func address(listen string) (host string, port int, err error) {
	if listen == "" {
		return "127.0.0.1", server.RANDOM_PORT, nil
	}
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("NATS address: found %q, allowed is host:port", listen)
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, fmt.Errorf("NATS port: found %q, allowed is a number", text)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}
