package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bill is the bill of materials of one binary. Its serial number is made of the binary's sum, so the same binary has the
// same bill.
func (r release) bill(binary, system string, modules []module) ([]byte, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(sum)
	program := cdx.Component{
		BOMRef: "pkg:golang/github.com/systole-run/systole@" + r.version, Type: cdx.ComponentTypeApplication, Name: "systole", Version: r.version,
		PackageURL: "pkg:golang/github.com/systole-run/systole@" + r.version, Licenses: licences("Apache-2.0"),
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sum)}},
		Properties: &[]cdx.Property{{Name: "systole:system", Value: system}},
	}
	bom.Metadata = &cdx.Metadata{Timestamp: r.at.Format(time.RFC3339), Component: &program}
	components, refs := []cdx.Component{}, []string{}
	for _, m := range modules {
		url := "pkg:golang/" + m.path + "@" + m.version
		components = append(components, cdx.Component{
			BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: m.path, Version: m.version, PackageURL: url, Licenses: licences(m.licences...),
		})
		refs = append(refs, url)
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

func licences(ids ...string) *cdx.Licenses {
	all := cdx.Licenses{}
	for _, id := range ids {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &all
}

// serial makes a UUID of version 8, whose bits are one's own, out of a sum.
func serial(sum [sha256.Size]byte) string {
	u := sum[:16] // of the copy that was handed in
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
