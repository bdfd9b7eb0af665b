package kubernetes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// R4.3: the CronJobs that are to be copied into any cluster are such, and have the account and the volumes that they name.
func TestTheCronJobsToCopyAreValid(t *testing.T) {
	t.Parallel()
	decoder := serializer.NewCodecFactory(newScheme(t), serializer.EnableStrict).UniversalDeserializer()
	files, err := filepath.Glob("../../../examples/triggers/kubernetes-cronjob/cronjob*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		accounts, jobs := map[string]bool{"": true}, 0
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			object, _, err := decoder.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			switch o := object.(type) {
			case *core.ServiceAccount:
				accounts[o.Name] = true
			case *batch.CronJob:
				jobs++
				pod := o.Spec.JobTemplate.Spec.Template.Spec
				if !accounts[pod.ServiceAccountName] {
					t.Errorf("%s: nobody makes the account %s", file, pod.ServiceAccountName)
				}
				volumes := map[string]bool{}
				for _, volume := range pod.Volumes {
					volumes[volume.Name] = true
				}
				for _, mount := range pod.Containers[0].VolumeMounts {
					if !volumes[mount.Name] {
						t.Errorf("%s: there is no volume %s", file, mount.Name)
					}
				}
			}
		}
		if jobs != 1 {
			t.Errorf("%s has %d jobs, want 1", file, jobs)
		}
	}
}
