//go:build tools

// Package tools pins the helm programs that the test cluster and the charts need.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
