package observability_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

type composeFile struct {
	Services map[string]struct {
		Image    string
		Ports    []string
		Volumes  []string
		Networks []string
		CapDrop  []string `yaml:"cap_drop"`
	}
}

// The overlay adds to docker-compose.yml: its networks are those, its files are here, and nothing is open to strangers.
func TestTheComposeOverlayFitsTheStack(t *testing.T) {
	t.Parallel()
	var overlay composeFile
	readYAML(t, "compose.yml", &overlay)
	var stack struct{ Networks map[string]any }
	data, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(data, &stack, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	published := regexp.MustCompile(`^\$\{[A-Z_]+:-127\.0\.0\.1:\d+\}:\d+$`)
	image := regexp.MustCompile(`^\$\{[A-Z_]+:-[a-z/]+:v?\d[\d.]+\}$`)
	if len(overlay.Services) != 2 {
		t.Errorf("found %d services, want prometheus and grafana", len(overlay.Services))
	}
	for name, service := range overlay.Services {
		if !image.MatchString(service.Image) || !slices.Equal(service.CapDrop, []string{"ALL"}) {
			t.Errorf("%s: image is %q and cap_drop %v", name, service.Image, service.CapDrop)
		}
		for _, port := range service.Ports {
			if !published.MatchString(port) {
				t.Errorf("%s publishes %s, want ${VARIABLE:-127.0.0.1:port}:port", name, port)
			}
		}
		for _, network := range service.Networks {
			if _, there := stack.Networks[network]; !there {
				t.Errorf("%s is on the network %s, which docker-compose.yml does not have", name, network)
			}
		}
		for _, volume := range service.Volumes {
			path, _, _ := strings.Cut(volume, ":")
			if !strings.HasPrefix(path, "./") {
				continue // a volume with a name
			}
			if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
	}
}
