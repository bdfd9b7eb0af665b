package supervisor

// Host is what a host offers to runs.
type Host struct {
	// Supervised is nil where processes can be supervised, and else says what is missing.
	Supervised error
	// Strict is nil where there can be a strict sandbox, and else says what is missing.
	Strict error
	// Landlock is the version of Landlock, 0 for none. 4 is needed for ports.
	Landlock int
	// UserNamespaces says that a strict sandbox also has user and network namespaces.
	UserNamespaces bool
	// Cgroups says that each run has a control group of its own.
	Cgroups bool
}
