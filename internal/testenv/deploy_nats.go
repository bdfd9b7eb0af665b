package testenv

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// StartNATS starts the server of deploy/nats/nats.conf, with lines of configuration after it, such as "include tls.conf".
func (d *Deployment) StartNATS(t testing.TB, lines ...string) *NATSServer {
	t.Helper()
	main := strings.Join(append([]string{"include nats.conf"}, lines...), "\n")
	files := map[string]string{"main.conf": main, "passwords.conf": d.Secret(t, "nats_passwords.conf")}
	if strings.Contains(main, "tls.conf") {
		files["certificates.conf"] = read(t, d.Cert(t, "certificates.conf"))
	}
	return startConfigured(t, filepath.Join(d.Lay(t, "nats", files), "main.conf"), nil)
}

// StartNATSOn starts the server of deploy/nats/nats.conf with its data in a folder of the test's choice.
func (d *Deployment) StartNATSOn(t testing.TB, folder string) *NATSServer {
	t.Helper()
	config := filepath.Join(d.Lay(t, "nats", map[string]string{"passwords.conf": d.Secret(t, "nats_passwords.conf")}), "nats.conf")
	return startConfigured(t, config, func(o *server.Options) { o.StoreDir = folder })
}

// StartNATSCluster starts three servers of deploy/nats/cluster.conf, and waits until they are one.
func (d *Deployment) StartNATSCluster(t testing.TB) []*NATSServer {
	t.Helper()
	ports := make([]int, 3)
	var routes []string
	for i := range ports {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = port
		routes = append(routes, fmt.Sprintf("nats-route://localhost:%d", port))
	}
	nodes := make([]*NATSServer, len(ports))
	for i, port := range ports {
		dir := d.Lay(t, "nats", map[string]string{
			"passwords.conf": d.Secret(t, "nats_passwords.conf"), "certificates.conf": read(t, d.Cert(t, "certificates.conf")),
			"node.conf": fmt.Sprintf("server_name: nats-%d", i+1),
		})
		nodes[i] = startConfigured(t, filepath.Join(dir, "cluster.conf"), func(o *server.Options) {
			o.Cluster.Host, o.Cluster.Port = "127.0.0.1", port
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		})
	}
	deadline := time.After(patience)
	for !whole(nodes) {
		select {
		case <-deadline:
			t.Fatal("the servers do not become a cluster")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nodes
}

// whole reports whether one of the servers leads and has the others with it.
func whole(nodes []*NATSServer) bool {
	for _, node := range nodes {
		if node.JetStreamIsLeader() && len(node.JetStreamClusterPeers()) == len(nodes) {
			return true
		}
	}
	return false
}

// NATS connects to a server of the deployment as one of its users. options come after those of the user.
func (d *Deployment) NATS(t testing.TB, url, user string, options ...nats.Option) *nats.Conn {
	t.Helper()
	as := []nats.Option{nats.UserInfo(user, d.Secret(t, "nats_"+user+"_password")), nats.CustomInboxPrefix("_INBOX." + user)}
	if strings.HasPrefix(url, "tls:") {
		as = append(as, nats.RootCAs(d.Cert(t, "ca.crt")))
	}
	return Connect(t, url, append(as, options...)...)
}
