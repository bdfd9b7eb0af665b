package kubernetes_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/kedacore/keda/v2/version" // the module has the schema of its objects; its Go types need half of Kubernetes
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// kedaSchema is the schema of ScaledObject out of KEDA's own CustomResourceDefinition, with unknown fields refused as a
// cluster does under strict validation.
func kedaSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), "config/crd/bases/keda.sh_scaledobjects.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Name != "v1alpha1" {
		t.Fatalf("the definition has %d versions, want v1alpha1", len(crd.Spec.Versions))
	}
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	refuseUnknown(schema)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("keda.json", schema); err != nil {
		t.Fatal(err)
	}
	return compiler.MustCompile("keda.json")
}

// refuseUnknown closes every object that lists its fields.
func refuseUnknown(node any) {
	switch n := node.(type) {
	case map[string]any:
		_, lists := n["properties"].(map[string]any)
		if _, open := n["x-kubernetes-preserve-unknown-fields"]; lists && !open && n["additionalProperties"] == nil {
			n["additionalProperties"] = false
		}
		for _, part := range n {
			refuseUnknown(part)
		}
	case []any:
		for _, part := range n {
			refuseUnknown(part)
		}
	}
}

func TestScaledObjectsAreAsKEDAWantsThem(t *testing.T) {
	t.Parallel()
	s, schema := build(t, "complete"), kedaSchema(t)
	if len(s.custom) != 1 {
		t.Fatalf("found %d objects, want the ScaledObject of the workers", len(s.custom))
	}
	if err := schema.Validate(plain(t, s.custom[0])); err != nil {
		t.Error(err)
	}
	s.custom[0]["spec"].(map[string]any)["minReplicas"] = 1
	if schema.Validate(plain(t, s.custom[0])) == nil {
		t.Error("a field that there is not was taken")
	}
}

// plain is a value as JSON has it.
func plain(t *testing.T, value any) any {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// A worker for each worker.concurrency occurrences; who scales it is KEDA alone; and somebody always hears heartbeats.
func TestWorkersScaleByWhatEachCanRun(t *testing.T) {
	t.Parallel()
	s := build(t, "complete")
	var object struct {
		Spec struct {
			ScaleTargetRef  struct{ Name string }
			MinReplicaCount int
			Fallback        struct{ Behavior string }
			Triggers        []struct{ Metadata map[string]string }
		}
	}
	data, _ := json.Marshal(s.custom[0])
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	w, there := s.workloads[object.Spec.ScaleTargetRef.Name]
	if !there || object.Spec.MinReplicaCount < 1 {
		t.Fatalf("scales %q, which is there: %t, down to %d", object.Spec.ScaleTargetRef.Name, there, object.Spec.MinReplicaCount)
	}
	if w.replicas != 1 { // of nil: the manifest says nothing
		t.Errorf("the Deployment says %d replicas, which every apply would set back", w.replicas)
	}
	if empty := object.Spec.Triggers[0].Metadata["ignoreNullValues"]; empty != "false" || object.Spec.Fallback.Behavior != "currentReplicasIfHigher" {
		t.Errorf("where nobody counts, workers are taken away: ignoreNullValues is %q, the fallback's behavior %q", empty, object.Spec.Fallback.Behavior)
	}
	if threshold := object.Spec.Triggers[0].Metadata["threshold"]; !strings.Contains(strings.Join(w.env(t, s), " "), "SYSTOLE_WORKER__CONCURRENCY="+threshold) {
		t.Errorf("a worker for each %s occurrences; its settings are %v", threshold, w.env(t, s))
	}
}

// The rules for Kubernetes are those for everybody: make rules-kubernetes.
func TestTheRulesAreThoseOfTheObservabilityFolder(t *testing.T) {
	t.Parallel()
	s := build(t, "complete")
	var file struct{ Groups any }
	data, err := os.ReadFile("../../observability/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(file.Groups)
	var again any
	if len(s.rules) == 1 {
		given, _ := json.Marshal(s.rules[0].Spec.Groups)
		_ = json.Unmarshal(given, &again)
	}
	if got, _ := json.Marshal(again); string(got) != string(want) {
		t.Errorf("the PrometheusRule differs from rules.yml; make rules-kubernetes\n got %.300s\nwant %.300s", got, want)
	}
	if dashboard := s.configMaps["systole-dashboard"]["systole.json"]; !json.Valid([]byte(dashboard)) {
		t.Error("the dashboard is no JSON")
	}
}
