//go:build tools

// Package tools pins the etcd programs that the test cluster and the charts need.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)
