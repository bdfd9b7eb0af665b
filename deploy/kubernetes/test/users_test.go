package kubernetes_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// R2.5: each role logs in to NATS and Redis as the user that deploy/nats and deploy/redis have for it, and the gateway to NATS alone.
func TestEachRoleIsAUserOfItsOwn(t *testing.T) {
	accounts, users := read(t, "../../nats/accounts.conf"), read(t, "../../redis/users.acl.template")
	eachStack(t, func(t *testing.T, s *stack) {
		for _, role := range roles {
			env := s.workloads[role].env(t, s)
			want := []string{"SYSTOLE_NATS__USER=" + role, "SYSTOLE_NATS__INBOX_PREFIX=_INBOX." + role, "SYSTOLE_NATS__PASSWORD_FILE=/run/secrets/nats_password"}
			if role != "gateway" {
				want = append(want, "SYSTOLE_REDIS__USERNAME="+role, "SYSTOLE_REDIS__PASSWORD_FILE=/run/secrets/redis_password")
			}
			for _, setting := range want {
				if !slices.Contains(env, setting) {
					t.Errorf("%s lacks %s", role, setting)
				}
			}
			makes := !slices.Contains(env, "SYSTOLE_NATS__MAKE_STREAMS=false")
			if makes != (role == "worker") {
				t.Errorf("%s makes streams: %v; only workers may", role, makes)
			}
			if !strings.Contains(accounts, "user: "+role+",") {
				t.Errorf("NATS has no user %s", role)
			}
			ofRedis, told := strings.Contains(users, "user "+role+" "), strings.Contains(strings.Join(env, "\n"), "SYSTOLE_REDIS__")
			if wants := role != "gateway"; ofRedis != wants || told != wants {
				t.Errorf("%s: Redis has the user: %v, its settings name Redis: %v, want %v of both", role, ofRedis, told, wants)
			}
		}
	})
}

// The servers in the cluster run on the files that the end-to-end tests run on.
func TestTheServersAreAsTheirFilesSay(t *testing.T) {
	t.Parallel()
	s := build(t, "dev")
	for name, files := range map[string]map[string]string{
		"nats":  {"nats.conf": "../../nats/nats.conf", "accounts.conf": "../../nats/accounts.conf"},
		"redis": {"redis.conf": "../../redis/redis.conf"},
	} {
		container := s.workloads[name].container()
		var config string
		for _, source := range s.workloads[name].pod.Spec.Volumes[0].Projected.Sources {
			if source.ConfigMap != nil {
				config = source.ConfigMap.Name
			}
		}
		for file, from := range files {
			if s.configMaps[config][file] != read(t, from) {
				t.Errorf("%s: %s is not %s", name, file, from)
			}
		}
		if at := "/etc/" + name; !slices.Contains(container.Command, at+"/"+name+".conf") || container.VolumeMounts[1].MountPath != at {
			t.Errorf("%s is started with %q and mounts %+v, want its file in %s", name, container.Command, container.VolumeMounts, at)
		}
	}
}

// kustomize reads no file above the base, which so has copies.
func TestTheSettingsOfGatewayAndConsoleAreThoseOfCompose(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gateway.yaml", "console.yaml"} {
		if read(t, "../base/config/"+name) != read(t, "../../"+name) {
			t.Errorf("base/config/%s is not deploy/%s", name, name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
