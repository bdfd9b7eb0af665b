package kubernetes_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const ours = "systole" // the namespace

// party is who may talk: a pod, or an address outside of the cluster.
type party struct {
	name      string
	namespace string // empty outside
	labels    map[string]string
	ip        netip.Addr
	ports     []core.ContainerPort
}

// parties are the pods of the overlay, and others beside whom they live.
func (s *stack) parties() []party {
	named := func(ports ...int32) (all []core.ContainerPort) {
		for _, port := range ports {
			all = append(all, core.ContainerPort{ContainerPort: port, Protocol: core.ProtocolTCP})
		}
		return all
	}
	all := []party{
		{name: "stranger", namespace: ours, labels: map[string]string{"app": "stranger"}, ports: named(80)},
		{name: "prometheus", namespace: "monitoring", labels: map[string]string{"app.kubernetes.io/name": "prometheus"}},
		{name: "ingress", namespace: "ingress-nginx"},
		{name: "neighbour", namespace: "shop", labels: map[string]string{"app.kubernetes.io/component": "trigger"}},
		{name: "dns", namespace: "kube-system", labels: map[string]string{"k8s-app": "kube-dns"}, ports: named(53)},
		{name: "internet", ip: netip.MustParseAddr("198.51.100.7"), ports: named(443, 4222, 6379)},
		{name: "metadata", ip: netip.MustParseAddr("169.254.169.254"), ports: named(80)},
	}
	if s.overlay != "dev" {
		all = append(all,
			party{name: "their-nats", ip: netip.MustParseAddr("10.20.0.5"), ports: named(4222, 6379)},
			party{name: "their-redis", ip: netip.MustParseAddr("10.20.0.20"), ports: named(4222, 6379)})
	}
	for name, w := range s.workloads {
		all = append(all, party{name: name, namespace: ours, labels: w.pod.Labels, ports: w.container().Ports})
	}
	return all
}

// TestOnlyWhoHasToTalkMay holds who may talk to whom against this table: what is not in it may not.
func TestOnlyWhoHasToTalkMay(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		want := []string{
			"trigger gateway 8080", "apply console 8081",
			"prometheus gateway 9090", "prometheus worker 9090", "prometheus console 9090",
		}
		for name := range s.workloads {
			want = append(want, name+" dns 53")
		}
		want = append(want, "stranger dns 53")
		if s.overlay == "dev" {
			want = append(want, "gateway nats 4222", "worker nats 4222", "console nats 4222", "worker redis 6379", "console redis 6379")
		} else {
			want = append(want, "gateway their-nats 4222", "worker their-nats 4222", "console their-nats 4222",
				"worker their-redis 6379", "console their-redis 6379", "ingress gateway 8080")
		}
		var got []string
		for _, from := range s.parties() {
			for _, to := range s.parties() {
				for _, port := range to.ports {
					concerned := (from.namespace == ours || to.namespace == ours) && from.name != to.name
					if concerned && s.mayTalk(t, from, to, port) {
						got = append(got, fmt.Sprintf("%s %s %d", from.name, to.name, port.ContainerPort))
					}
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("may talk:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestEachNetworkPolicySelectsSomething(t *testing.T) {
	eachStack(t, func(t *testing.T, s *stack) {
		for _, p := range s.policies {
			if len(s.pods(t, &p.Spec.PodSelector)) == 0 {
				t.Errorf("NetworkPolicy %s selects nothing", p.Name)
			}
		}
	})
}

// mayTalk does what a cluster does: a side that a policy selects is shut but for what some policy opens.
func (s *stack) mayTalk(t *testing.T, from, to party, port core.ContainerPort) bool {
	t.Helper()
	return s.open(t, networking.PolicyTypeEgress, from, to, port) && s.open(t, networking.PolicyTypeIngress, to, from, port)
}

func (s *stack) open(t *testing.T, direction networking.PolicyType, side, other party, port core.ContainerPort) bool {
	t.Helper()
	if side.namespace != ours {
		return true
	}
	shut := false
	for _, p := range s.policies {
		if !slices.Contains(p.Spec.PolicyTypes, direction) || !matches(t, &p.Spec.PodSelector, side.labels) {
			continue
		}
		shut = true
		if direction == networking.PolicyTypeEgress {
			for _, rule := range p.Spec.Egress {
				if onPort(rule.Ports, port) && amongPeers(t, rule.To, other) {
					return true
				}
			}
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if onPort(rule.Ports, port) && amongPeers(t, rule.From, other) {
				return true
			}
		}
	}
	return !shut
}

func onPort(allowed []networking.NetworkPolicyPort, port core.ContainerPort) bool {
	return len(allowed) == 0 || slices.ContainsFunc(allowed, func(p networking.NetworkPolicyPort) bool {
		tcp := p.Protocol == nil || *p.Protocol == core.ProtocolTCP
		return tcp && (p.Port == nil || p.Port.StrVal != "" && p.Port.StrVal == port.Name || p.Port.IntVal == port.ContainerPort)
	})
}

func amongPeers(t *testing.T, peers []networking.NetworkPolicyPeer, other party) bool {
	t.Helper()
	return len(peers) == 0 || slices.ContainsFunc(peers, func(peer networking.NetworkPolicyPeer) bool {
		if peer.IPBlock != nil {
			within := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(other.ip) }
			return other.ip.IsValid() && within(peer.IPBlock.CIDR) && !slices.ContainsFunc(peer.IPBlock.Except, within)
		}
		if other.namespace == "" {
			return false
		}
		if peer.NamespaceSelector == nil {
			return other.namespace == ours && matches(t, peer.PodSelector, other.labels)
		}
		inNamespace := matches(t, peer.NamespaceSelector, map[string]string{"kubernetes.io/metadata.name": other.namespace})
		return inNamespace && (peer.PodSelector == nil || matches(t, peer.PodSelector, other.labels))
	})
}

func matches(t *testing.T, selector *meta.LabelSelector, of map[string]string) bool {
	t.Helper()
	compiled, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Matches(labelsOf(of))
}
