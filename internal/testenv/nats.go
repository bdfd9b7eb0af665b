package testenv

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATSServer is a real nats-server with JetStream, in this process, that belongs to the tests.
type NATSServer struct {
	*server.Server
	URL string

	options server.Options
	config  string                // a configuration file, if there is one; then of options only address and StoreDir count
	change  func(*server.Options) // what else is to differ from the file; may be nil
}

// maxStore bounds in bytes what the streams of all tests may reserve together, of which they use next to nothing. The
// server's own bound, a part of the disk's free space, would let fewer tests run where that is small.
const maxStore = 1 << 40

// StartNATS starts a server of the test's own. Tests that do not disturb the server share the one of NATS.
func StartNATS(t testing.TB) *NATSServer {
	t.Helper()
	s, err := newNATS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server; Restart brings it back on the same port with the same data.
func (s *NATSServer) Stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// Restart starts the server again on the same port. With keep it has its streams back, else they are gone.
func (s *NATSServer) Restart(t testing.TB, keep bool) {
	t.Helper()
	s.Stop()
	if !keep {
		s.options.StoreDir = t.TempDir()
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Admit has the server let in this user alone, and nobody without a password, from the next Restart on.
func (s *NATSServer) Admit(user, password string) {
	s.options.Username, s.options.Password = user, password
}

// NATS gives a connection to the shared server and a subject prefix that no other test uses.
func NATS(t testing.TB) (nc *nats.Conn, prefix string) {
	t.Helper()
	s, err := sharedNATS()
	if err != nil {
		t.Fatal(err)
	}
	return Connect(t, s.URL), UniqueName("t")
}

// NATSURL gives the shared server's URL and a subject prefix that no other test uses.
func NATSURL(t testing.TB) (url, prefix string) {
	t.Helper()
	s, err := sharedNATS()
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, UniqueName("t")
}

// Connect opens a connection that is closed when the test ends.
func Connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

var sharedNATS = sync.OnceValues(func() (*NATSServer, error) { return newNATS("") })

func newNATS(dir string) (*NATSServer, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	s := &NATSServer{options: server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		JetStreamMaxStore: maxStore,
	}}
	if dir == "" {
		temp, err := os.MkdirTemp("", "systole-nats-")
		if err != nil {
			return nil, err
		}
		s.options.StoreDir = temp
	}
	return s, s.start()
}

// startConfigured starts a server of the test's own from a configuration file. Port and folder are the test's, and what
// change says wins over the file, as flags of nats-server do.
func startConfigured(t testing.TB, config string, change func(*server.Options)) *NATSServer {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &NATSServer{config: config, change: change, options: server.Options{
		Host: "127.0.0.1", Port: port, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (s *NATSServer) start() error {
	options := s.options.Clone()
	if s.config != "" { // read anew at each start: a server keeps its state in what it was given
		file, err := server.ProcessConfigFile(s.config)
		if err != nil {
			return err
		}
		file.Host, file.Port, file.HTTPPort, file.StoreDir = options.Host, options.Port, 0, options.StoreDir
		file.NoLog, file.NoSigs = options.NoLog, options.NoSigs
		if s.change != nil {
			s.change(file)
		}
		options = file
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return err
	}
	ns.Start()
	if !ns.ReadyForConnections(patience) {
		return server.ErrServerNotRunning
	}
	s.Server, s.URL = ns, ns.ClientURL()
	return nil
}
