package main

import "testing"

// R5.5: everything that is wrong is named at once, with its key and where it came from, before anything starts.
func TestBadSettingsAreNamedAllAtOnceWithKeyAndSource(t *testing.T) {
	t.Parallel()
	file := write(t, "systole.yaml", "log:\n  level: loud\ngateway:\n  listen: nowhere\nworkr:\n  batch: 1\n")
	environ := []string{"SYSTOLE_WORKER__BATCH=1000", "SYSTOLE_NATS__URL=ftp://x"}
	says := []string{
		"log.level (" + file + `:2): found "loud", allowed is debug, info, warn or error`,
		"gateway.listen (" + file + `:4): found "nowhere", allowed is host:port`,
		"workr (" + file + ":5): found an unknown key, allowed is worker?",
		"worker.batch (environment SYSTOLE_WORKER__BATCH): found 1000, allowed is 1 to 100",
		"nats.url (environment SYSTOLE_NATS__URL)",
	}
	for _, command := range [][]string{{"config", "check"}, {"config", "show"}, {"dev"}, {"gateway"}, {"worker"}, {"console"}, {"doctor"}} {
		run(t, environ, append(command, "--config", file)...).expect(t, exitUsage, says...)
	}
	run(t, nil, "worker", "--worker.concurrency", "0").
		expect(t, exitUsage, "worker.concurrency (flag --worker.concurrency): found 0, allowed is 1 to 10000")
}

// R5.4: everything has a default, so that no settings at all are good ones.
func TestNoSettingsAreGoodOnes(t *testing.T) {
	t.Parallel()
	run(t, nil, "config", "check").expect(t, exitFine, "settings are fine")
	for _, role := range []string{"gateway", "worker", "console", "dev"} {
		run(t, nil, "config", "check", "--role", role).expect(t, exitFine)
	}
}

func TestConfigShowNamesSourcesAndRedactsSecrets(t *testing.T) {
	t.Parallel()
	password := write(t, "password", "swordfish-7\n")
	file := write(t, "systole.yaml", "redis:\n  password_file: "+password+"\nnats:\n  url: nats://app:opensesame-9@nats:4222\n")
	environ := []string{
		"SYSTOLE_CONFIG=" + file, "SYSTOLE_LOG__LEVEL=debug",
		`SYSTOLE_GATEWAY__AUTH__TOKENS=[{"name":"cron","value":"0123456789abcdef-token"}]`,
	}
	run(t, environ, "config", "show").
		expect(t, exitFine, `level: "debug" # environment SYSTOLE_LOG__LEVEL`, "[redacted]", file+":2, file:"+password, `"name":"cron"`).
		without(t, "swordfish-7", "opensesame-9", "0123456789abcdef-token")
	// What is shown can be read back, apart from the secrets.
	again := write(t, "shown.yaml", run(t, nil, "config", "show").out)
	run(t, nil, "config", "check", "-c", again).expect(t, exitFine)
}

func TestSecretsOfOtherRolesAreNotRead(t *testing.T) {
	t.Parallel()
	environ := []string{"SYSTOLE_REDIS__PASSWORD_FILE=/nowhere/password"}
	run(t, environ, "config", "check", "--role", "gateway").expect(t, exitFine)
	run(t, environ, "config", "check", "--role", "worker").expect(t, exitUsage, "redis.password", "/nowhere/password")
}

func TestAWarningIsToldAndIsNoError(t *testing.T) {
	t.Parallel()
	environ := []string{`SYSTOLE_GATEWAY__AUTH__TOKENS=[{"name":"cron","value":"short"}]`}
	run(t, environ, "config", "check").expect(t, exitFine, "warning: gateway.auth.tokens[0].value", "can be guessed").without(t, "short\"")
}

// R5.1: whoever listens beyond this machine says who may call, or says in so many words that everybody may.
func TestAnOpenListenerBeyondLoopbackIsRefused(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"gateway", "console"} {
		flag := "--" + role + ".listen=0.0.0.0:0"
		run(t, nil, role, flag).expect(t, exitUsage, role+".auth.mode (default): found nothing, and no credentials", "which other machines can reach")
	}
	run(t, nil, "dev", "--gateway.listen=0.0.0.0:0").expect(t, exitUsage, "gateway.auth.mode")
}
