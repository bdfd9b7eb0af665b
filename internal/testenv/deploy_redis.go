package testenv

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
)

// StartRedis starts the server of deploy/redis/redis.conf, with extra arguments.
func (d *Deployment) StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return d.startRedis(t, nil, args)
}

// StartRedisTLS starts the server of deploy/redis/redis.conf and tls.conf, with extra arguments.
func (d *Deployment) StartRedisTLS(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	// Where the files say /etc/redis/tls, this says the folder of certs.sh; the port is the one that was not TLS' before.
	secured := []string{
		"--include", d.File(t, "redis/tls.conf"), "--tls-cert-file", d.Cert(t, "redis.crt"), "--tls-key-file", d.Cert(t, "redis.key"),
		"--tls-ca-cert-file", d.Cert(t, "ca.crt"),
	}
	return d.startRedis(t, d.trust(t), append(secured, args...))
}

// trust is what a client needs to connect to a server of certs.sh, with a certificate of its own.
func (d *Deployment) trust(t testing.TB) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(read(t, d.Cert(t, "ca.crt")))) {
		t.Fatal("ca.crt holds no certificate")
	}
	own, err := tls.LoadX509KeyPair(d.Cert(t, "console.crt"), d.Cert(t, "console.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
}

func (d *Deployment) startRedis(t testing.TB, trust *tls.Config, args []string) *RedisServer {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := serverOn(port, t.TempDir())
	conf := filepath.Join(d.Lay(t, "redis", nil), "redis.conf") // a copy: Sentinels have it rewritten
	s.args = slices.Concat([]string{conf}, s.args, []string{"--aclfile", d.SecretFile("redis_users.acl")}, args)
	if trust != nil {
		s.args = append(s.args, "--tls-port", portOf(s.Addr))
	}
	s.login = d.login(t, "monitor")
	s.login.TLSConfig = trust
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// login gives the options of a client that is a user of the deployment's Redis.
func (d *Deployment) login(t testing.TB, user string) redis.Options {
	t.Helper()
	return redis.Options{Username: user, Password: d.Secret(t, "redis_"+user+"_password"), MaxRetries: -1, DisableIdentity: true}
}

// Redis gives a client that is a user of the deployment's Redis.
func (d *Deployment) Redis(t testing.TB, server *RedisServer, user string) *redis.Client {
	t.Helper()
	options := d.login(t, user)
	options.Addr, options.TLSConfig = server.Addr, server.login.TLSConfig
	client := redis.NewClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}
