//go:build tools

// Package tools pins the newest container runtime, which the sensor's tests run beside the system's.
package tools

import (
	_ "github.com/opencontainers/runc"
)
