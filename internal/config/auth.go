package config

import (
	"slices"
	"strings"
	"time"
)

// The modes of authentication, of which several are joined by commas. An empty mode means those that there are settings
// of and, without any and on loopback only, AuthNone.
const (
	AuthNone  = "none"
	AuthToken = "token"
	AuthHMAC  = "hmac"
	AuthOIDC  = "oidc"
	AuthMTLS  = "mtls"
)

// authKinds are the modes that let somebody in, in the order in which an empty mode names them.
var authKinds = []string{AuthToken, AuthHMAC, AuthOIDC, AuthMTLS}

// Auth says how callers prove who they are.
type Auth struct {
	Mode   string   `koanf:"mode"` // none, or one or several of token, hmac, oidc and mtls; after Load never empty
	Tokens []Token  `koanf:"tokens"`
	HMAC   HMACAuth `koanf:"hmac"`
	OIDC   OIDCAuth `koanf:"oidc"`
	MTLS   MTLSAuth `koanf:"mtls"`
}

// Open reports whether anybody may call.
func (a Auth) Open() bool { return a.Mode == AuthNone }

// Has reports whether a kind of credential is accepted.
func (a Auth) Has(kind string) bool { return slices.Contains(split(a.Mode), kind) }

// Without gives the settings less one kind, for a listener that cannot have it.
func (a Auth) Without(kind string) Auth {
	a.Mode = strings.Join(slices.DeleteFunc(split(a.Mode), func(mode string) bool { return mode == kind }), ",")
	return a
}

// Token is one credential that callers may present. Exactly one of Value and SHA256 is set after Load.
type Token struct {
	Name    string    `json:"name" yaml:"name"`
	Value   Secret    `json:"value" yaml:"value"`                        // from value or value_file
	SHA256  Secret    `json:"sha256" yaml:"sha256"`                      // hex digest of the value, where the value itself is not to be here
	Scopes  []string  `json:"scopes" yaml:"scopes"`                      // of beat, run, read, write; empty means beat
	Groups  []string  `json:"groups" yaml:"groups"`                      // empty means all
	Expires time.Time `json:"expires,omitzero" yaml:"expires,omitempty"` // from when on it is refused; zero means never
}

// HMACAuth lets requests in that are signed. The gateway alone can: it knows a repeat by JetStream's memory.
type HMACAuth struct {
	Keys   []Token       `koanf:"keys"`   // without sha256: the value itself signs
	Window time.Duration `koanf:"window"` // how long a signature is good for; up to nats.duplicate_window
}

// OIDCAuth lets in who brings a JWT of an OpenID Connect issuer.
type OIDCAuth struct {
	Issuer    string        `koanf:"issuer"`   // of subjects that name none; https, or http on loopback
	Audience  string        `koanf:"audience"` // that the JWT must be for, of subjects that name none
	Subjects  []OIDCSubject `koanf:"subjects"`
	CAFile    string        `koanf:"ca_file"`    // that signs issuers' certificates, beside those whom the system trusts
	ClockSkew time.Duration `koanf:"clock_skew"` // how far the issuer's clock may be off
}

// OIDCSubject is one that is let in, by exactly one of Subject and Email. A plain text in the list is a Subject.
type OIDCSubject struct {
	Subject  string   `json:"subject,omitempty" yaml:"subject,omitempty"` // the claim sub, as it stands
	Email    string   `json:"email,omitempty" yaml:"email,omitempty"`     // the claim email, where email_verified is true
	Name     string   `json:"name,omitempty" yaml:"name,omitempty"`       // empty: the subject or email
	Scopes   []string `json:"scopes" yaml:"scopes"`                       // empty means beat
	Groups   []string `json:"groups" yaml:"groups"`                       // empty means all
	Issuer   string   `json:"issuer,omitempty" yaml:"issuer,omitempty"`   // in place of that of all
	Audience string   `json:"audience,omitempty" yaml:"audience,omitempty"`
}

// MTLSAuth lets clients in by their certificate. The listener must have one of its own.
type MTLSAuth struct {
	CAFile   string        `koanf:"ca_file"` // that signs clients' certificates
	Subjects []CertSubject `koanf:"subjects"`
}

// CertSubject is one that is let in, by exactly one of the names in its certificate.
type CertSubject struct {
	URI    string   `json:"uri,omitempty" yaml:"uri,omitempty"` // such as spiffe://example.org/cron
	DNS    string   `json:"dns,omitempty" yaml:"dns,omitempty"`
	Email  string   `json:"email,omitempty" yaml:"email,omitempty"`
	CN     string   `json:"cn,omitempty" yaml:"cn,omitempty"`
	Name   string   `json:"name" yaml:"name"`
	Scopes []string `json:"scopes" yaml:"scopes"` // empty means beat
	Groups []string `json:"groups" yaml:"groups"` // empty means all
}
