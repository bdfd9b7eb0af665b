package kubernetes_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mounted lays a pod's ConfigMaps and Secrets out in a folder, and gives what turns a path in the pod into one there.
func mounted(t *testing.T, s *stack, w workload) func(string) string {
	t.Helper()
	root := t.TempDir()
	write := func(path, name, content string) {
		folder := filepath.Join(root, path)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var paths []string
	for _, mount := range w.container().VolumeMounts {
		paths = append(paths, mount.MountPath, filepath.Join(root, mount.MountPath))
	}
	translate := strings.NewReplacer(paths...).Replace
	volumes := map[string]string{}
	for _, mount := range w.container().VolumeMounts {
		volumes[mount.Name] = mount.MountPath
	}
	for _, volume := range w.pod.Spec.Volumes {
		path := volumes[volume.Name]
		if err := os.MkdirAll(filepath.Join(root, path), 0o700); err != nil {
			t.Fatal(err)
		}
		switch {
		case volume.ConfigMap != nil:
			for name, content := range s.configMaps[volume.ConfigMap.Name] {
				write(path, name, translate(content))
			}
		case volume.Projected != nil:
			for _, source := range volume.Projected.Sources {
				if source.ConfigMap != nil {
					continue // of NATS or Redis, which are no program of ours
				}
				for _, item := range source.Secret.Items {
					write(path, item.Path, "0123456789abcdef0123456789abcdef")
				}
			}
		case volume.Secret != nil && path != "": // what README.md says that it holds
			write(path, "ca.crt", authority(t))
		}
	}
	return translate
}

// authority makes a certificate that signs others.
func authority(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// R5.5
func TestTheProgramTakesTheSettingsOfEachRole(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		for _, role := range roles {
			w := s.workloads[role]
			translate := mounted(t, s, w)
			args := []string{"config", "check", "--role", role}
			for i, arg := range w.container().Args {
				if i == 0 && arg != role {
					t.Errorf("%s runs the role %s", role, arg)
				} else if i > 0 {
					args = append(args, translate(arg))
				}
			}
			var env []string
			for _, entry := range w.env(t, s) {
				env = append(env, translate(entry))
			}
			if status, said := run(t, env, args...); status != 0 || strings.Contains(said, "warning:") {
				t.Errorf("%s: settings are refused, or warned of: %s", role, said)
			}
			if status, _ := run(t, append(env, "SYSTOLE_WORKER__CONCURENCY=1"), args...); status == 0 {
				t.Errorf("%s: a setting that is none was taken", role)
			}
		}
	})
}

// Where nobody answers, the commands fail, which is not to be called wrongly (exit status 2).
func TestTheProgramTakesTheArgumentsOfTriggerAndApply(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		for _, name := range []string{"trigger", "apply"} {
			w := s.workloads[name]
			translate := mounted(t, s, w)
			nobody := strings.NewReplacer("http://gateway:8080", "http://127.0.0.1:1", "http://console:8081", "http://127.0.0.1:1")
			var args []string
			for _, arg := range w.container().Args {
				args = append(args, translate(nobody.Replace(arg)))
			}
			if status, said := run(t, nil, args...); status != 1 || !strings.Contains(said, "127.0.0.1:1") {
				t.Errorf("%s: exit status %d: %s", name, status, said)
			}
		}
	})
}

func TestTheFlowsAreValid(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		flows := mounted(t, s, s.workloads["apply"])("/flows")
		if status, said := run(t, nil, "flow", "validate", flows); status != 0 {
			t.Errorf("flows are refused: %s", said)
		}
	})
}

// The trigger sends to the port and path where the gateway takes heartbeats.
func TestTheTriggerAndApplyAskServicesThatAreThere(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		there := map[string]bool{}
		for _, service := range s.services {
			there[service.Name] = true
		}
		for name, address := range map[string]string{"trigger": "http://gateway:8080/heartbeat", "apply": "http://console:8081"} {
			host := strings.Split(strings.TrimPrefix(address, "http://"), ":")[0]
			if !slices.Contains(s.workloads[name].container().Args, address) || !there[host] {
				t.Errorf("%s does not ask %s, or there is no such Service; there are %v", name, address, slices.Sorted(maps.Keys(there)))
			}
		}
	})
}
