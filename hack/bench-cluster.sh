# Sourced by bench.sh and soak.sh: a cluster with Bailiff and a Deployment of 20 pods whose shells
# are answered, those by exec and those of the application itself. It sets KUBECONFIG; the cluster
# goes when the script that sourced it ends.
# shellcheck shell=bash disable=SC2154 # $logs comes from steps.sh
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
export PATH=$cache/bin:$PATH
unset KUBECONFIG
step "packages" testbed/install.sh
step "programs of the test cluster" hack/tools.sh
step "image" hack/image.sh
step "programs" cargo build --locked -p bailiff-testbed -p bailiff-bench
testbed=target/debug/testbed
# shellcheck source=hack/one-cluster.sh
. hack/one-cluster.sh
trap '"$testbed" down --owner test; rm -rf "$logs"' EXIT
step "cluster of two nodes" "$testbed" up --owner test 9>&-
step "images into the nodes" "$testbed" load-test-images
step "Bailiff's image into the nodes" "$testbed" load target/image/bailiff.tar
eval "$("$testbed" env)"
export KUBECONFIG
kubectl create namespace bailiff-system >/dev/null
kubectl label namespace bailiff-system pod-security.kubernetes.io/enforce=privileged >/dev/null
# The limits of the namespace and the cluster are off: what is measured is how long a response takes that
# waits for nothing.
step "helm install" helm install bailiff charts/bailiff -n bailiff-system --wait --timeout 3m --set image.pullPolicy=Never \
	--set response.maxEvictionsPerMinutePerNamespace=6000 --set response.maxEvictionsPerMinute=6000
step "policies" helm install bailiff-policies charts/bailiff-policies -n bailiff-system
kubectl create namespace bailiff-bench >/dev/null
kubectl apply -n bailiff-bench -f - >/dev/null <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 20
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: bailiff.dev/testbed/busybox:1
        # Ends when it is asked to, as an application should. The grace period is everyone's: with
        # one of 0 the API server writes a third time for an eviction, and the pod's object is gone
        # before its processes are.
        # The application has a hole: it runs a shell for whoever asks for cgi-bin/sh.
        command:
        - sh
        - -c
        - |
          trap 'exit 0' TERM
          mkdir -p /www/cgi-bin && ln -s /bin/busybox /www/cgi-bin/sh && httpd -h /www -p 8080
          while :; do sleep 3600 & wait; done
---
# Pods that a bare client evicts, for the floor.
apiVersion: apps/v1
kind: Deployment
metadata: {name: floor}
spec:
  replicas: 20
  selector: {matchLabels: {app: floor}}
  template:
    metadata: {labels: {app: floor}}
    spec:
      containers:
      - name: web
        image: bailiff.dev/testbed/busybox:1
        command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"]
---
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicy
metadata: {name: no-shells-of-the-application}
spec:
  validations:
  - expression: "process.origin != 'Entrypoint' || process.ancestors.size() == 0 || !('sh' in process.names)"
---
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicyBinding
metadata: {name: bench-application}
spec:
  policyName: no-shells-of-the-application
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bailiff-bench}}}
  responseActions: [Evict]
  guardrails: {cooldownPeriodSeconds: 0, maxEvictionsPerMinute: 6000}
---
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicyBinding
metadata: {name: bench}
spec:
  policyName: no-shells-through-exec
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bailiff-bench}}}
  responseActions: [Evict]
  guardrails: {cooldownPeriodSeconds: 0, maxEvictionsPerMinute: 6000}
YAML
kubectl wait --for=condition=Ready runtimepolicybinding --all --timeout=2m >/dev/null
