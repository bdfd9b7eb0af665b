package kubernetes_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func labelsOf(set map[string]string) labels.Set { return labels.Set(set) }

// roles are what serves; the others come, do their work and go.
var roles = []string{"gateway", "worker", "console"}

// R4.4
func TestWorkloadsSelectTheirOwnPodsAndNoOthers(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		for name, w := range s.workloads {
			if w.selector == nil {
				continue
			}
			if found := s.pods(t, w.selector); len(found) != 1 || found[0].name != name {
				t.Errorf("%s selects %d workloads, want itself alone", name, len(found))
			}
		}
	})
}

func TestServicesAndIngressesReachANamedPort(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		ports := map[string]bool{}
		for _, service := range s.services {
			pods := s.pods(t, &meta.LabelSelector{MatchLabels: service.Spec.Selector})
			if len(pods) != 1 {
				t.Errorf("Service %s selects %d workloads, want one", service.Name, len(pods))
				continue
			}
			for _, port := range service.Spec.Ports {
				ports[service.Name+" "+port.Name] = true
				if number, there := portOf(pods[0].container(), port.TargetPort); !there || number != port.Port {
					t.Errorf("Service %s: port %d goes to %s of %s, which is %d", service.Name, port.Port, port.TargetPort.String(), pods[0].name, number)
				}
			}
		}
		for _, ingress := range s.ingresses {
			for _, rule := range ingress.Spec.Rules {
				for _, path := range rule.HTTP.Paths {
					if to := path.Backend.Service; !ports[to.Name+" "+to.Port.Name] {
						t.Errorf("Ingress %s: no Service %s with a port %q", ingress.Name, to.Name, to.Port.Name)
					}
				}
			}
		}
		for _, monitor := range s.monitors {
			pods := s.pods(t, &monitor.Spec.Selector)
			if len(pods) != len(roles) {
				t.Errorf("PodMonitor %s selects %d workloads, want %v", monitor.Name, len(pods), roles)
			}
			for _, pod := range pods {
				if _, there := portOf(pod.container(), intstr.FromString(*monitor.Spec.PodMetricsEndpoints[0].Port)); !there {
					t.Errorf("PodMonitor %s: %s has no such port", monitor.Name, pod.name)
				}
			}
		}
	})
}

func portOf(container core.Container, port intstr.IntOrString) (int32, bool) {
	for _, p := range container.Ports {
		if p.Name == port.StrVal || p.ContainerPort == port.IntVal {
			return p.ContainerPort, true
		}
	}
	return 0, false
}

func TestEachRoleIsProbedWhereItAnswers(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		for _, name := range roles {
			container := s.workloads[name].container()
			for path, probes := range map[string][]*core.Probe{
				"/healthz": {container.StartupProbe, container.LivenessProbe}, "/readyz": {container.ReadinessProbe},
			} {
				for _, probe := range probes {
					if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path {
						t.Errorf("%s: probe is %+v, want one of %s", name, probe, path)
					} else if port, there := portOf(container, probe.HTTPGet.Port); !there || port != 9090 {
						t.Errorf("%s: probe of %s asks port %d, want that of metrics.listen", name, path, port)
					}
				}
			}
		}
	})
}

// While it loads what it wrote Redis answers, and with an error: it lives and is not ready.
func TestRedisIsReadyOnlyWhenItHasLoaded(t *testing.T) {
	t.Parallel()
	container := build(t, "dev").workloads["redis"].container()
	for want, probes := range map[string][]*core.Probe{
		"redis-cli --user monitor ping": {container.StartupProbe, container.LivenessProbe}, "redis-cli --user monitor -e ping": {container.ReadinessProbe},
	} {
		for _, probe := range probes {
			if got := strings.Join(probe.Exec.Command, " "); !strings.HasSuffix(got, " "+want) {
				t.Errorf("probe is %q, want one that ends in %q", got, want)
			}
		}
	}
}

// Redis says that it is full, at 60 % of its memory, before it is killed for what it takes.
func TestRedisIsFullBeforeItsContainerIs(t *testing.T) {
	t.Parallel()
	container := build(t, "dev").workloads["redis"].container()
	at := slices.Index(container.Command, "--maxmemory")
	if at < 0 {
		t.Fatalf("found no --maxmemory in %v", container.Command)
	}
	most, err := resource.ParseQuantity(strings.ReplaceAll(container.Command[at+1], "mb", "Mi"))
	if has := container.Resources.Limits.Memory().Value(); err != nil || most.Value() <= 0 || most.Value() > has*6/10 {
		t.Errorf("maxmemory is %s of %d bytes, allowed are up to 60 %%; %v", container.Command[at+1], has, err)
	}
}

// Whoever comes in through an Ingress is known by an address of their own, to the rate and to gateway.allow.
func TestTheGatewayBelievesTheIngressWhoItsClientsAre(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		set := slices.ContainsFunc(s.workloads["gateway"].env(t, s), func(entry string) bool {
			return strings.HasPrefix(entry, "SYSTOLE_GATEWAY__TRUSTED_PROXIES=")
		})
		if set != (len(s.ingresses) > 0) {
			t.Errorf("there are %d Ingresses, and the gateway trusts a proxy: %t", len(s.ingresses), set)
		}
	})
}

// A node can always be emptied, and never takes all of a role with it.
func TestBudgetsProtectWhatIsThereTwiceAndBlockNoEviction(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		if len(s.budgets) < 2 {
			t.Errorf("found %d budgets, want those of gateway and worker", len(s.budgets))
		}
		for _, budget := range s.budgets {
			if pods := s.pods(t, budget.Spec.Selector); len(pods) != 1 {
				t.Errorf("budget %s selects %d workloads, want one", budget.Name, len(pods))
			}
			if most := budget.Spec.MaxUnavailable; budget.Spec.MinAvailable != nil || most == nil || most.IntVal < 1 {
				t.Errorf("budget %s allows %v to be away, want 1 or more", budget.Name, most)
			}
		}
	})
}

var imagePattern = regexp.MustCompile(`^[a-z0-9./-]+(:[a-z0-9.-]+|@sha256:[0-9a-f]{64})$`)

func TestPodsHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		for name, w := range s.workloads {
			pod := w.pod.Spec
			if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || !s.accounts[pod.ServiceAccountName] {
				t.Errorf("%s: ServiceAccount %q is not there, or its token is mounted", name, pod.ServiceAccountName)
			}
			if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
				t.Errorf("%s: gets variables of Services, which may look like settings", name)
			}
			if of := pod.SecurityContext; of == nil || of.RunAsNonRoot == nil || !*of.RunAsNonRoot || of.RunAsUser == nil || *of.RunAsUser == 0 ||
				of.SeccompProfile == nil || of.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: pod is not hardened: %+v", name, of)
			}
			if len(pod.Containers) != 1 || pod.HostNetwork || pod.HostPID || pod.HostIPC {
				t.Errorf("%s has %d containers, or something of the host", name, len(pod.Containers))
			}
			container := w.container()
			if of := container.SecurityContext; of == nil || *of.AllowPrivilegeEscalation || !*of.ReadOnlyRootFilesystem || of.Privileged != nil ||
				!slices.Equal(of.Capabilities.Drop, []core.Capability{"ALL"}) || len(of.Capabilities.Add) > 0 {
				t.Errorf("%s: container is not hardened: %+v", name, of)
			}
			if !imagePattern.MatchString(container.Image) || strings.HasSuffix(container.Image, ":latest") {
				t.Errorf("%s: image is %q, want one with a fixed tag or digest", name, container.Image)
			}
			if resources := container.Resources; resources.Requests.Cpu().IsZero() || resources.Requests.Memory().IsZero() || resources.Limits.Memory().IsZero() {
				t.Errorf("%s: resources are %+v, want requests, and a limit of memory", name, resources)
			}
		}
	})
}

// What pods name is in the overlay, or in the README among what you bring.
func TestWhatPodsNameIsThere(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	eachStack(t, func(t *testing.T, s *stack) {
		secret := func(who, name string) {
			listed := regexp.MustCompile("(?m)^\\| (`[a-z-]+`, )*`" + name + "`[,| ]")
			if !listed.MatchString(string(page)) {
				t.Errorf("%s needs the Secret %s, which README.md does not list", who, name)
			}
		}
		for name, w := range s.workloads {
			mounted := map[string]bool{}
			for _, volume := range w.pod.Spec.Volumes {
				mounted[volume.Name] = true
				if of := volume.ConfigMap; of != nil && s.configMaps[of.Name] == nil {
					t.Errorf("%s mounts the ConfigMap %s, which is not there", name, of.Name)
				}
				if of := volume.Secret; of != nil {
					secret(name, of.SecretName)
				}
				if of := volume.Projected; of != nil {
					for _, source := range of.Sources {
						if source.ConfigMap == nil {
							secret(name, source.Secret.Name)
						} else if s.configMaps[source.ConfigMap.Name] == nil {
							t.Errorf("%s mounts the ConfigMap %s, which is not there", name, source.ConfigMap.Name)
						}
					}
				}
				if of, mode := volume.Secret, modeOf(volume); (of != nil || volume.Projected != nil) && mode != 0o440 {
					t.Errorf("%s: mode of %s is %#o, want 0440", name, volume.Name, mode)
				}
			}
			for _, mount := range w.container().VolumeMounts {
				if !mounted[mount.Name] && w.kind != "StatefulSet" {
					t.Errorf("%s mounts %s, which is no volume of it", name, mount.Name)
				}
			}
		}
		for _, ingress := range s.ingresses {
			for _, tls := range ingress.Spec.TLS {
				secret("Ingress "+ingress.Name, tls.SecretName)
			}
		}
	})
}

func modeOf(volume core.Volume) int32 {
	switch {
	case volume.Secret != nil && volume.Secret.DefaultMode != nil:
		return *volume.Secret.DefaultMode
	case volume.Projected != nil && volume.Projected.DefaultMode != nil:
		return *volume.Projected.DefaultMode
	}
	return 0o644
}

// A worker ends runs that do not end by themselves after the drain, which takes executor.exec.kill_grace, and hands back.
func TestAWorkerHasTimeToDrain(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		const killGrace, handingBack = 5 * time.Second, 5 * time.Second
		w := s.workloads["worker"]
		drain := time.Duration(0)
		for _, entry := range w.env(t, s) {
			if value, ours := strings.CutPrefix(entry, "SYSTOLE_WORKER__DRAIN_TIMEOUT="); ours {
				parsed, err := time.ParseDuration(value)
				if err != nil {
					t.Fatal(err)
				}
				drain = parsed
			}
		}
		grace := time.Duration(*w.pod.Spec.TerminationGracePeriodSeconds) * time.Second
		if drain == 0 || grace < drain+killGrace+handingBack {
			t.Errorf("terminationGracePeriodSeconds is %s and the drain %s, want %s more", grace, drain, killGrace+handingBack)
		}
	})
}

// A heartbeat never holds up the next one.
func TestTheTriggerEndsBeforeItsNextTurn(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		if len(s.crons) != 1 {
			t.Fatalf("found %d CronJobs, want one", len(s.crons))
		}
		spec := s.crons[0].Spec
		if spec.Schedule != "* * * * *" || spec.ConcurrencyPolicy != "Forbid" || *spec.StartingDeadlineSeconds >= 60 || *spec.JobTemplate.Spec.ActiveDeadlineSeconds >= 60 {
			t.Errorf("found %+v, want each minute, one at a time, with deadlines below that", spec)
		}
	})
}
