//go:build tools

// Package tools pins the registry that the test cluster pulls images from.
package tools

import (
	_ "github.com/distribution/distribution/v3/cmd/registry"
)
