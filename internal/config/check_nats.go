package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (l *loader) checkNATS() {
	n := l.cfg.NATS
	servers := l.addresses("nats.url", n.URL, "nats", "tls", "ws", "wss")
	if len(servers) == 0 && needed(l.Roles, "nats") {
		l.bad("nats.url", "nothing", "one or several addresses such as nats://127.0.0.1:4222")
	}
	l.pair("nats.user", "nats.password", n.User != "", !n.Password.IsZero())
	if n.CredsFile != "" && n.User != "" {
		l.bad("nats.creds_file", "both nats.creds_file and nats.user", "one of them")
	}
	inURL := slices.ContainsFunc(servers, func(u *url.URL) bool { return u.User != nil })
	if inURL && (n.User != "" || n.CredsFile != "") {
		l.bad("nats.url", "a user in the address beside nats.user or nats.creds_file", "one of them")
	}
	l.match("nats.prefix", n.Prefix, prefixPattern, "1 to 4 tokens joined by dots, each "+nameAllowed)
	if n.InboxPrefix != "" {
		l.match("nats.inbox_prefix", n.InboxPrefix, inboxPattern, "1 to 4 tokens joined by dots, each 1 to 63 of a-z, A-Z, 0-9, _ and -")
	}
	within(l, "nats.beat_ttl", n.BeatTTL, time.Second, 365*24*time.Hour)
	if !l.faulty["nats.beat_ttl"] {
		l.checkWindow(&l.cfg.NATS)
	}
	within(l, "nats.ack_timeout", n.AckTimeout, 10*time.Millisecond, 10*time.Second) // twice, with streams to make in between, is less than an answer may take
	within(l, "nats.replicas", n.Replicas, 1, 5)
	l.checkKept(n)
	if needed(l.Roles, "nats") {
		l.readable("nats.creds_file", n.CredsFile)
		l.checkTLS("nats.tls", n.TLS)
	}
}

// checkKept holds the bounds of what is kept for those who look later.
func (l *loader) checkKept(n NATS) {
	const most = 100_000_000
	within(l, "nats.event_ttl", n.EventTTL, time.Minute, 365*24*time.Hour)
	within(l, "nats.event_bytes", n.EventBytes, 1<<20, 1<<40)
	within(l, "nats.event_messages", n.EventMessages, 100, most)
	within(l, "nats.dead_ttl", n.DeadTTL, time.Minute, 365*24*time.Hour)
	within(l, "nats.dead_messages", n.DeadMessages, 100, most)
}

// checkWindow holds the window against the time that a beat is kept, which JetStream does, too. Its default gives way.
func (l *loader) checkWindow(n *NATS) {
	if l.source("nats.duplicate_window") == (Source{}) {
		n.DuplicateWindow = min(n.DuplicateWindow, n.BeatTTL)
	}
	within(l, "nats.duplicate_window", n.DuplicateWindow, 100*time.Millisecond, n.BeatTTL)
}

func (l *loader) checkRedis() {
	r := l.cfg.Redis
	servers := l.addresses("redis.url", r.URL, "redis", "rediss")
	if len(servers) == 0 && needed(l.Roles, "redis") {
		l.bad("redis.url", "nothing", "one or several addresses such as redis://127.0.0.1:6379")
	}
	if r.Username != "" && r.Password.IsZero() {
		l.bad("redis.password", "nothing", "a value, since redis.username is set")
	}
	for _, server := range servers {
		l.checkRedisURL(server, servers[0], len(servers))
	}
	l.match("redis.prefix", r.Prefix, keyPattern, "1 to 63 letters, digits, _ . : and -, the first a letter or digit")
	within(l, "redis.partitions", r.Partitions, 1, 1024)
	within(l, "redis.pool_size", r.PoolSize, 0, 10_000)
	if needed(l.Roles, "redis") {
		l.checkTLS("redis.tls", r.TLS)
	}
	if len(servers) > 0 && servers[0].Scheme == "redis" && !r.TLS.IsZero() {
		l.bad("redis.url", "redis:// beside settings of redis.tls", "rediss://, which is with TLS")
	}
}

// checkRedisURL holds one node against the first one, whose scheme, user and database go for all of them.
func (l *loader) checkRedisURL(server, first *url.URL, count int) {
	database := strings.Trim(server.Path, "/")
	if number, err := strconv.Atoi(database); database != "" && (err != nil || number < 0) {
		l.bad("redis.url", quote(server.Path)+" as database", "a number, such as /0")
	}
	if server.Scheme != first.Scheme || server.User.String() != first.User.String() || server.Path != first.Path {
		l.bad("redis.url", "addresses that differ in scheme, user or database", "the same for all of them")
	}
	if count > 1 && l.cfg.Redis.Master == "" && database != "" && database != "0" {
		l.bad("redis.url", fmt.Sprintf("database %s of a cluster", database), "database 0, the only one that a cluster has; for Sentinel set redis.master")
	}
}

// checkTLS loads what is named, so that a wrong file is an error at start and not at the first connection.
func (l *loader) checkTLS(prefix string, t TLS) {
	l.pair(prefix+".cert_file", prefix+".key_file", t.CertFile != "", t.KeyFile != "")
	l.checkCAs(prefix+".ca_file", t.CAFile)
	l.readable(prefix+".cert_file", t.CertFile)
	l.readable(prefix+".key_file", t.KeyFile)
	if t.CertFile != "" && !l.faulty[prefix+".cert_file"] && !l.faulty[prefix+".key_file"] {
		l.certificate(prefix+".cert_file", t.CertFile, t.KeyFile)
	}
}

// checkCAs checks a file of those who sign certificates, if there is one.
func (l *loader) checkCAs(key, file string) {
	l.readable(key, file)
	if file == "" || l.faulty[key] {
		return
	}
	if _, err := loadCAs(file); err != nil {
		l.bad(key, err.Error(), "a file of PEM certificates")
	}
}
