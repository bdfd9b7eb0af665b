package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/config"
)

// tlsFlags are how a command connects over TLS.
type tlsFlags struct{ caFile, certFile, keyFile string }

func (f *tlsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.caFile, "ca-file", "", "PEM file of the CA certificates to trust (default: the system's)")
	cmd.Flags().StringVar(&f.certFile, "cert-file", "", "PEM file of the client certificate to present, with --key-file")
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "PEM file of the key of --cert-file")
}

// transport gives nil, which is the default one, where nothing is set.
func (f tlsFlags) transport() (http.RoundTripper, error) {
	if f == (tlsFlags{}) {
		return nil, nil
	}
	if (f.certFile == "") != (f.keyFile == "") {
		return nil, usageError{errors.New("--cert-file and --key-file: found one of them, allowed are both or neither")}
	}
	settings, err := config.TLS{CAFile: f.caFile, CertFile: f.certFile, KeyFile: f.keyFile}.Client()
	if err != nil {
		return nil, usageError{fmt.Errorf("--ca-file, --cert-file and --key-file: %w", err)}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = settings
	return transport, nil
}
