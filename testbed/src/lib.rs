//! A real Kubernetes of two nodes in network namespaces, for tests and the demo
