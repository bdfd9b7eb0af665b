package config

// The modes of authentication. An empty mode means AuthToken where there are tokens and, on loopback only, AuthNone.
const (
	AuthNone  = "none"
	AuthToken = "token"
)

// Auth says how callers prove who they are.
type Auth struct {
	Mode   string  `koanf:"mode"` // none or token; after Load never empty
	Tokens []Token `koanf:"tokens"`
}

// Open reports whether anybody may call.
func (a Auth) Open() bool { return a.Mode == AuthNone }

// Token is one credential that callers may present. Exactly one of Value and SHA256 is set after Load.
type Token struct {
	Name   string   `json:"name" yaml:"name"`
	Value  Secret   `json:"value" yaml:"value"`   // from value or value_file
	SHA256 Secret   `json:"sha256" yaml:"sha256"` // hex digest of the value, where the value itself is not to be here
	Scopes []string `json:"scopes" yaml:"scopes"` // of beat, run, read, write; empty means beat
	Groups []string `json:"groups" yaml:"groups"` // empty means all
}
