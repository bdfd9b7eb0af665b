package observability_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

type pipeline struct{ Receivers, Processors, Exporters []string }

type collector struct {
	Receivers  map[string]any
	Processors map[string]any
	Exporters  map[string]any
	Extensions map[string]any
	Service    struct {
		Extensions []string
		Pipelines  map[string]pipeline
	}
}

func TestEachPipelineOfTheCollectorIsOfWhatItHas(t *testing.T) {
	t.Parallel()
	var file collector
	readYAML(t, "otel-collector.yaml", &file)
	used := map[string]bool{}
	check := func(where, kind string, names []string, there map[string]any) {
		if len(names) == 0 {
			t.Errorf("%s has no %s", where, kind)
		}
		for _, name := range names {
			used[kind+" "+name] = true
			if _, known := there[name]; !known {
				t.Errorf("%s names the %s %s, which is not declared", where, kind, name)
			}
		}
	}
	if len(file.Service.Pipelines) != 2 {
		t.Errorf("found %d pipelines, want traces and metrics", len(file.Service.Pipelines))
	}
	for name, p := range file.Service.Pipelines {
		check(name, "receiver", p.Receivers, file.Receivers)
		check(name, "processor", p.Processors, file.Processors)
		check(name, "exporter", p.Exporters, file.Exporters)
		if !slices.Equal(p.Processors, []string{"memory_limiter", "batch"}) {
			t.Errorf("%s has the processors %v: memory_limiter comes first, batch last", name, p.Processors)
		}
	}
	check("service", "extension", file.Service.Extensions, file.Extensions)
	for kind, declared := range map[string]map[string]any{
		"receiver": file.Receivers, "processor": file.Processors, "exporter": file.Exporters, "extension": file.Extensions,
	} {
		for name := range declared {
			if !used[kind+" "+name] {
				t.Errorf("the %s %s is declared and in no pipeline", kind, name)
			}
		}
	}
}

// Where the documentation sends traces is where the collector takes them. That the program's export is OTLP over HTTP
// is tested in cmd/systole.
func TestTracesAreSentToThePortOnWhichTheCollectorListens(t *testing.T) {
	t.Parallel()
	var file struct {
		Receivers struct {
			OTLP struct {
				Protocols map[string]struct{ Endpoint string }
			}
		}
	}
	readYAML(t, "otel-collector.yaml", &file)
	_, port, _ := strings.Cut(file.Receivers.OTLP.Protocols["http"].Endpoint, ":")
	for _, page := range []string{"README.md", "otel-collector.yaml"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if want := "SYSTOLE_TRACING__ENDPOINT=http://otel-collector:" + port; !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %s", page, want)
		}
	}
}

// Both scrape what docker-compose.yml has.
func TestWhatIsScrapedIsThere(t *testing.T) {
	t.Parallel()
	type scrapes []struct {
		DNS []struct {
			Names []string
			Port  int
		} `yaml:"dns_sd_configs"`
	}
	var prometheus struct {
		Scrapes scrapes `yaml:"scrape_configs"`
	}
	readYAML(t, "prometheus.yml", &prometheus)
	var otel struct {
		Receivers struct {
			Prometheus struct {
				Config struct {
					Scrapes scrapes `yaml:"scrape_configs"`
				}
			}
		}
	}
	readYAML(t, "otel-collector.yaml", &otel)
	for file, found := range map[string]scrapes{"prometheus.yml": prometheus.Scrapes, "otel-collector.yaml": otel.Receivers.Prometheus.Config.Scrapes} {
		if len(found) != 1 || len(found[0].DNS) != 1 || found[0].DNS[0].Port != 9090 || !slices.Equal(found[0].DNS[0].Names, []string{"gateway", "worker", "console"}) {
			t.Errorf("%s scrapes %+v, want gateway, worker and console at port 9090", file, found)
		}
	}
}
