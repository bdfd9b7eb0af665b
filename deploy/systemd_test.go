//go:build triggers

package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/testenv"
)

var unitRoles = []config.Role{config.RoleGateway, config.RoleWorker, config.RoleConsole}

// R4.4: systemd takes the units of all roles, and lets none do what it need not.
func TestTheUnitsOfTheRolesAreValid(t *testing.T) {
	t.Parallel()
	for _, role := range unitRoles {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			unit := strings.ReplaceAll(readAll(t, "systemd/systole@.service"), "/usr/local/bin/systole", "/bin/true") // which has to be there
			name := filepath.Join(dir, "systole@"+string(role)+".service")
			dropIn := name + ".d"
			if err := os.Mkdir(dropIn, 0o755); err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string]string{name: unit, filepath.Join(dropIn, "role.conf"): readAll(t, dropInOf(role))} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.Command("systemd-analyze", "verify", "--man=no", name).CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
				t.Errorf("verify: %v\n%s", err, out)
			}
			most := map[config.Role]string{config.RoleWorker: "50"}[role] // it runs what flows want
			if most == "" {
				most = "25"
			}
			if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+most, name).CombinedOutput(); err != nil {
				t.Errorf("security: %v\n%s", err, out[max(0, len(out)-300):])
			}
		})
	}
}

// R4.4 R5.5: what the units tell a role are settings that it takes, and their secrets are those that secrets.sh makes.
func TestTheUnitsTellEachRoleWhoItIs(t *testing.T) {
	t.Parallel()
	for _, role := range unitRoles {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			cfg := unitSettings(t, role)
			if cfg.NATS.User != string(role) || cfg.NATS.Password.Reveal() == "" || cfg.NATS.MakeStreams != (role == config.RoleWorker) {
				t.Errorf("NATS is %+v", cfg.NATS)
			}
			if want := map[config.Role]string{config.RoleWorker: "worker", config.RoleConsole: "console"}[role]; cfg.Redis.Username != want || cfg.Redis.Password.IsZero() != (want == "") {
				t.Errorf("Redis is %+v", cfg.Redis)
			}
			tokens := fmt.Sprint(len(cfg.Gateway.Auth.Tokens), len(cfg.Console.Auth.Tokens))
			if want := map[config.Role]string{config.RoleGateway: "1 0", config.RoleConsole: "0 1", config.RoleWorker: "0 0"}[role]; tokens != want {
				t.Errorf("tokens of gateway and console are %s, want %s", tokens, want)
			}
			if role == config.RoleWorker && !slices.Contains(strings.Split(readAll(t, dropInOf(role)), "\n"), "TimeoutStopSec=45") || cfg.Worker.DrainTimeout.Seconds() > 30 {
				t.Errorf("a worker has not time to drain for %s", cfg.Worker.DrainTimeout)
			}
		})
	}
}

// R4.4: as the guide has it, all of them run on one machine.
func TestTheUnitsOfTheRolesListenBesideEachOther(t *testing.T) {
	t.Parallel()
	taken := map[string]config.Role{}
	for _, role := range unitRoles {
		cfg := unitSettings(t, role)
		for _, address := range map[config.Role][]string{
			config.RoleGateway: {cfg.Gateway.Listen, cfg.Metrics.Listen}, config.RoleConsole: {cfg.Console.Listen, cfg.Metrics.Listen},
			config.RoleWorker: {cfg.Metrics.Listen},
		}[role] {
			if other, there := taken[address]; there {
				t.Errorf("%s listens at %s, as %s does", role, address, other)
			}
			taken[address] = role
		}
	}
}

// R4.4: what the guide enables is there again when the machine has started anew.
func TestTheUnitsStartWithTheMachine(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	units := filepath.Join(root, "etc/systemd/system")
	if err := os.CopyFS(units, os.DirFS("systemd")); err != nil {
		t.Fatal(err)
	}
	for _, role := range unitRoles {
		unit := "systole@" + string(role) + ".service"
		out, err := exec.Command("systemctl", "--root="+root, "enable", unit).CombinedOutput()
		if _, missing := os.Lstat(filepath.Join(units, "multi-user.target.wants", unit)); err != nil || missing != nil {
			t.Errorf("enabling %s: %v, %v\n%s", unit, err, missing, out)
		}
	}
}

// unitSettings are those of a role that its unit starts.
func unitSettings(t *testing.T, role config.Role) config.Config {
	t.Helper()
	made, credentials := filepath.Dir(testenv.Deploy(t).SecretFile("heartbeat_token")), t.TempDir()
	text := strings.NewReplacer("%i", string(role), "%d", credentials, "/etc/systole/secrets", made).Replace(
		readAll(t, "systemd/systole@.service") + "\n" + readAll(t, dropInOf(role)))
	for _, credential := range regexp.MustCompile(`(?m)^LoadCredential=(\w+):(.+)$`).FindAllStringSubmatch(text, -1) {
		secret, err := os.ReadFile(credential[2])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(credentials, credential[1]), secret, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var environ []string
	for _, line := range regexp.MustCompile(`(?m)^Environment=(.+)$`).FindAllStringSubmatch(text, -1) {
		if quoted, whole := strings.CutPrefix(line[1], "'"); whole {
			environ = append(environ, strings.TrimSuffix(quoted, "'"))
		} else {
			environ = append(environ, strings.Fields(line[1])...)
		}
	}
	cfg, err := config.Load(config.Options{Environ: func() []string { return environ }, Roles: []config.Role{role}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func dropInOf(role config.Role) string {
	return "systemd/systole@" + string(role) + ".service.d/role.conf"
}
