// Package kubernetes_test checks the manifests without a cluster: it builds every overlay as kubectl would, reads each
// object strictly into its type, and compares what belongs together: selectors and labels, ports and probes, settings and
// what the program takes, network policies and who has to talk to whom.
//
// It is a module of its own, since the Kubernetes libraries are larger than the rest of the repository.
package kubernetes_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

var overlays = []string{"dev", "production", "complete"}

// workload is what has pods.
type workload struct {
	name     string
	kind     string
	replicas int32
	selector *meta.LabelSelector // nil for a Job, whose selector the cluster makes
	pod      core.PodTemplateSpec
}

func (w workload) container() core.Container { return w.pod.Spec.Containers[0] }

// env is the environment of the pod's container, as NAME=value.
func (w workload) env(t *testing.T, s *stack) []string {
	t.Helper()
	all := map[string]string{}
	for _, from := range w.container().EnvFrom {
		data, there := s.configMaps[from.ConfigMapRef.Name]
		if !there {
			t.Fatalf("%s: no ConfigMap %s", w.name, from.ConfigMapRef.Name)
		}
		maps.Copy(all, data)
	}
	for _, variable := range w.container().Env {
		all[variable.Name] = variable.Value
	}
	var env []string
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	return env
}

// stack is one overlay, built.
type stack struct {
	overlay    string
	workloads  map[string]workload
	services   []core.Service
	budgets    []policy.PodDisruptionBudget
	policies   []networking.NetworkPolicy
	ingresses  []networking.Ingress
	monitors   []monitoring.PodMonitor
	rules      []monitoring.PrometheusRule
	configMaps map[string]map[string]string
	accounts   map[string]bool
	crons      []batch.CronJob
	custom     []map[string]any // what has no Go type here: see custom_test.go
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		apps.AddToScheme, batch.AddToScheme, core.AddToScheme, networking.AddToScheme, policy.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// build builds an overlay. An object with a field that its type does not have is an error.
func build(t *testing.T, overlay string) *stack {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("..", "overlays", overlay))
	if err != nil {
		t.Fatalf("overlay %s: %v", overlay, err)
	}
	decoder := serializer.NewCodecFactory(newScheme(t), serializer.EnableStrict).UniversalDeserializer()
	s := &stack{overlay: overlay, workloads: map[string]workload{}, configMaps: map[string]map[string]string{}, accounts: map[string]bool{}}
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if group := resource.GetGvk().Group; group == "keda.sh" {
			object, err := resource.Map()
			if err != nil {
				t.Fatal(err)
			}
			s.custom = append(s.custom, object)
			continue
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("overlay %s: %s %s: %v", overlay, resource.GetKind(), resource.GetName(), err)
		}
		s.add(t, object)
	}
	if len(s.workloads) < 5 {
		t.Fatalf("overlay %s has %d workloads, want at least 5", overlay, len(s.workloads))
	}
	return s
}

func (s *stack) add(t *testing.T, object runtime.Object) {
	t.Helper()
	switch o := object.(type) {
	case *apps.Deployment:
		s.workloads[o.Name] = workload{o.Name, "Deployment", replicas(o.Spec.Replicas), o.Spec.Selector, o.Spec.Template}
	case *apps.StatefulSet:
		s.workloads[o.Name] = workload{o.Name, "StatefulSet", replicas(o.Spec.Replicas), o.Spec.Selector, o.Spec.Template}
	case *batch.Job:
		s.workloads[o.Name] = workload{o.Name, "Job", 1, nil, o.Spec.Template}
	case *batch.CronJob:
		s.crons = append(s.crons, *o)
		s.workloads[o.Name] = workload{o.Name, "CronJob", 1, nil, o.Spec.JobTemplate.Spec.Template}
	case *core.Service:
		s.services = append(s.services, *o)
	case *policy.PodDisruptionBudget:
		s.budgets = append(s.budgets, *o)
	case *networking.NetworkPolicy:
		s.policies = append(s.policies, *o)
	case *networking.Ingress:
		s.ingresses = append(s.ingresses, *o)
	case *monitoring.PodMonitor:
		s.monitors = append(s.monitors, *o)
	case *monitoring.PrometheusRule:
		s.rules = append(s.rules, *o)
	case *core.ConfigMap:
		s.configMaps[o.Name] = o.Data
	case *core.ServiceAccount:
		s.accounts[o.Name] = true
		if o.AutomountServiceAccountToken == nil || *o.AutomountServiceAccountToken {
			t.Errorf("overlay %s: ServiceAccount %s mounts its token", s.overlay, o.Name)
		}
	case *core.Namespace:
	default:
		t.Errorf("overlay %s: nothing here checks a %T", s.overlay, object)
	}
}

func replicas(given *int32) int32 {
	if given == nil {
		return 1
	}
	return *given
}

// pods are the workloads whose pods a selector matches.
func (s *stack) pods(t *testing.T, selector *meta.LabelSelector) []workload {
	t.Helper()
	compiled, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	var found []workload
	for _, name := range slices.Sorted(maps.Keys(s.workloads)) {
		if w := s.workloads[name]; compiled.Matches(labelsOf(w.pod.Labels)) {
			found = append(found, w)
		}
	}
	return found
}

// eachStack runs a test for every overlay.
func eachStack(t *testing.T, check func(t *testing.T, s *stack)) {
	t.Helper()
	t.Parallel()
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			check(t, build(t, overlay))
		})
	}
}

// systole is the program, built once.
var systole = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(os.TempDir(), fmt.Sprintf("systole-%d", os.Getpid()))
	build := exec.Command("go", "build", "-o", binary, "./cmd/systole")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build systole: %w\n%s", err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	_ = os.Remove(filepath.Join(os.TempDir(), fmt.Sprintf("systole-%d", os.Getpid())))
	os.Exit(status)
}

// run runs the program with nothing but this environment.
func run(t *testing.T, env []string, args ...string) (status int, said string) {
	t.Helper()
	binary, err := systole()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}
