package main

import (
	"strings"
	"testing"
)

const secretFlow = "name: sync\nexec: {command: [\"true\"], env: {TOKEN: \"REFERENCE\"}}\n"

func withReference(t *testing.T, reference string) (file string) {
	t.Helper()
	return write(t, "flow.yaml", strings.Replace(secretFlow, "REFERENCE", reference, 1))
}

func TestAFlowThatMayNotUseItsSecretIsRefusedWhereThatIsKnown(t *testing.T) {
	t.Parallel()
	mounted := folder(t, map[string]string{"db": "pa55word"})
	settings := []string{"SYSTOLE_EXECUTOR__SECRETS__DIR=" + mounted, "SYSTOLE_EXECUTOR__SECRETS__ALLOW=default/sync secret:*"}
	dev := against(startDev(t, settings))
	run(t, dev, "flow", "apply", "-f", withReference(t, "secret:db")).expect(t, exitFine, "created").without(t, "pa55word")
	run(t, dev, "flow", "apply", "-f", withReference(t, "secret:other")).expect(t, exitFailed, "exec.env.TOKEN", "secret:other", "no such file")
	run(t, dev, "flow", "apply", "-f", withReference(t, "env:PATH")).expect(t, exitFailed, "exec.env.TOKEN", "env:PATH", "no rule of executor.secrets.allow")
	run(t, nil, "flow", "validate", withReference(t, "secret:../db")).expect(t, exitFailed, "exec.env.TOKEN", "secret:NAME")

	broken := launch(t, settings, "dev", "--gateway.listen", "127.0.0.1:0", "--flows", folder(t, map[string]string{"a.yaml": strings.Replace(secretFlow, "REFERENCE", "secret:other", 1)}))
	if code := <-broken.code; code != exitFailed || !strings.Contains(broken.log.String(), "secret:other") {
		t.Errorf("dev with a flow whose secret is missing ends with %d:\n%s", code, broken.log)
	}
}

func TestAFlowThatCallsAnAddressWhichIsNotAllowedIsRefusedWhereThatIsKnown(t *testing.T) {
	t.Parallel()
	flow := func(url string) string {
		return write(t, "flow.yaml", "name: call\nevery: 1h\nhttp: {method: GET, url: \""+url+"\"}\n")
	}
	dev := startDev(t, nil)
	environ := against(dev)
	run(t, environ, "flow", "apply", "-f", flow("http://169.254.169.254/latest")).expect(t, exitFailed, "http.url", "a link-local or metadata address", "executor.http.allow")
	run(t, environ, "flow", "apply", "-f", flow(dev.url+"/healthz")).expect(t, exitFine, "created")
	run(t, environ, "beat", "--wait", "1m").expect(t, exitFine, `"succeeded":1`)
	stricter := startDev(t, []string{"SYSTOLE_EXECUTOR__HTTP__ALLOW=10.0.0.0/8"})
	run(t, against(stricter), "flow", "apply", "-f", flow(dev.url+"/healthz")).expect(t, exitFailed, "http.url", "a loopback address")
}
