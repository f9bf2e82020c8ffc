//go:build tools

// Package tools pins the programs of the oldest Kubernetes that Bailiff supports.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
