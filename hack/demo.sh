#!/usr/bin/env bash
# Demonstrates Bailiff: a cluster, a web application with an allow-list, an attacker's shell, the response;
# then an image that no policy allows, and one that is pinned to its digest; then what is in an old image.
#
# usage: demo.sh [--down]
#
# Without variables it starts a cluster of two nodes on this machine, and reads neither KUBECONFIG nor
# the current context. With CONTEXT=name it uses that context of your kubeconfig, with
# IMAGE=registry/repository:tag as Bailiff's image; it prints the server and asks for confirmation (YES=1
# skips the question). --down removes what the demo created, and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
# The binaries are expected here, wherever the caller builds others.
export CARGO_TARGET_DIR=$PWD/target
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
export PATH=$cache/bin:$PATH
context=${CONTEXT:-}
image=${IMAGE:-}
unset CONTEXT IMAGE
namespace=bailiff-demo
testbed=target/debug/testbed

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() {
	printf 'demo.sh: %s\n' "$*" >&2
	exit 1
}

# Prints a command as a user would type it, and runs it.
show() {
	printf '%s$ %s%s\n' "$bold" "$*" "$plain"
	"$@"
}

# kubectl and helm use a kubeconfig of the demo, so that the printed commands are complete and cannot
# reach another cluster.
use_context() {
	local config
	command -v kubectl >/dev/null || fail "kubectl is not in the PATH; \`make tools\` builds it"
	kubectl config get-contexts "$context" >/dev/null 2>&1 ||
		fail "your kubeconfig has no context $context; \`kubectl config get-contexts\` lists them"
	config=$(mktemp)
	# shellcheck disable=SC2064  # expand the name of the file now
	trap "rm -f '$config'" EXIT
	kubectl config view --minify --flatten --raw --context "$context" >"$config"
	export KUBECONFIG=$config
	printf 'server:     %s\nnamespaces: bailiff-system, %s\n' \
		"$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')" "$namespace"
	if [ "${YES:-}" != 1 ]; then
		local answer=
		read -r -p "$1 [y/N] " answer || fail "no confirmation; YES=1 skips the question"
		[ "$answer" = y ] || fail "canceled; the cluster is unchanged"
	fi
}

# Whether the demo created the namespace of Bailiff.
is_ours() { [ "$(kubectl get namespace bailiff-system --ignore-not-found -o 'jsonpath={.metadata.labels.bailiff\.dev/demo}')" = true ]; }

if [ "${1:-}" = --down ]; then
	if [ -n "$context" ]; then
		use_context "Remove the demo, and Bailiff with its policies and incidents, from this cluster?"
		is_ours || fail "cannot remove namespace bailiff-system: it does not have the label bailiff.dev/demo=true, so the demo did not create it"
		kubectl delete namespace "$namespace" --ignore-not-found
		helm uninstall bailiff-policies -n bailiff-system --ignore-not-found
		helm uninstall bailiff -n bailiff-system --ignore-not-found
		kubectl delete crd runtimepolicies.bailiff.dev runtimepolicybindings.bailiff.dev incidents.bailiff.dev \
			imageadmissionpolicies.bailiff.dev imageadmissionpolicybindings.bailiff.dev --ignore-not-found
		kubectl delete namespace bailiff-system --ignore-not-found
	else
		# Another checkout might have started a demo, even if the binary does not exist here.
		[ -x "$testbed" ] || cargo build --locked -q -p bailiff-testbed
		"$testbed" down --owner demo
	fi
	exit 0
fi
[ $# -eq 0 ] || fail "unknown argument $1; must be --down"

# shellcheck source=hack/steps.sh
if [ -n "$context" ]; then
	[ -n "$image" ] || fail "CONTEXT requires IMAGE=registry/repository:tag, which the cluster can pull"
	case ${image##*/} in *:*) ;; *) fail "IMAGE must have a tag: $image" ;; esac
	use_context "Install Bailiff and the demo in this cluster?"
	# The demo must not upgrade or remove an installation that is in use.
	[ -z "$(kubectl get namespace bailiff-system --ignore-not-found -o name)" ] || is_ours ||
		fail "cannot use this cluster: it already has a namespace bailiff-system; use one without it"
	web_image=docker.io/library/busybox:1.37
	values=(--set "image.repository=${image%:*}" --set "image.tag=${image##*:}")
else
	unset KUBECONFIG
	. hack/steps.sh
	say "Preparing. This takes some minutes on the first run, later seconds."
	step "Debian packages" testbed/install.sh
	step "Kubernetes, etcd, containerd, helm" hack/tools.sh
	step "Bailiff's image" hack/image.sh
	step "binary of the test cluster" cargo build --locked -q -p bailiff-testbed
	step "cluster of two nodes" "$testbed" up --owner demo
	step "images into the nodes" "$testbed" load-test-images
	step "Bailiff's image into the nodes" "$testbed" load target/image/bailiff.tar
	eval "$("$testbed" env)"
	export KUBECONFIG
	step "the application's image into a registry" "$testbed" push busybox shop/web:1
	web_image=$BAILIFF_TESTBED_REGISTRY/shop/web:1
	# The registry's certificate is signed with the authority of the cluster.
	registries=$(mktemp)
	# shellcheck disable=SC2064  # expand the name of the file now
	trap "rm -f '$registries'" EXIT
	{
		printf 'registries:\n  "%s":\n    caBundle: |\n' "$BAILIFF_TESTBED_REGISTRY"
		kubectl config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 -d | sed 's/^/      /'
	} >"$registries"
	values=(--set image.pullPolicy=Never --values "$registries")
fi

say "1. Install Bailiff and its library of policies"
kubectl get namespace bailiff-system >/dev/null 2>&1 || show kubectl create namespace bailiff-system
show kubectl label --overwrite namespace bailiff-system pod-security.kubernetes.io/enforce=privileged
kubectl label --overwrite namespace bailiff-system bailiff.dev/demo=true >/dev/null
show helm upgrade --install bailiff charts/bailiff -n bailiff-system --wait --timeout 5m "${values[@]}" --hide-notes
show helm upgrade --install bailiff-policies charts/bailiff-policies -n bailiff-system --wait --hide-notes

say "2. A web application, and an allow-list: only httpd can run, other processes cause an eviction"
kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f -
show kubectl apply -f - <<YAML
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicy
metadata: {name: demo-only-httpd}
spec:
  severity: High
  validations:
  - expression: "'httpd' in process.names"
    message: only httpd can run in this application
---
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicyBinding
metadata: {name: demo-only-httpd}
spec:
  policyName: demo-only-httpd
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $namespace}}}
  responseActions: [Evict]
  guardrails: {cooldownPeriodSeconds: 0}
YAML
show kubectl wait --for=condition=Ready runtimepolicybinding/demo-only-httpd --timeout=2m
# Incidents of an earlier run of the demo.
earlier=$(kubectl -n "$namespace" get incidents -o name)
show kubectl apply -n "$namespace" -f - <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: $web_image
        command: [httpd, -f, -p, "8080"]
        resources: {requests: {cpu: 10m, memory: 16Mi}}
YAML
show kubectl -n "$namespace" rollout status deployment/web --timeout=2m
show kubectl -n "$namespace" get pods -o wide
[ "$(kubectl -n "$namespace" get incidents -o name)" = "$earlier" ] ||
	fail "a process of the application violates the allow-list; see: kubectl -n $namespace get incidents"
printf '\nNo process violates the allow-list, so there is no new Incident.\n'

say "3. Nothing happens while it runs only what is on the list, in new pods neither"
old=$(kubectl -n "$namespace" get pods -l app=web -o 'jsonpath={.items[0].metadata.labels.pod-template-hash}')
show kubectl -n "$namespace" rollout restart deployment/web
show kubectl -n "$namespace" rollout status deployment/web --timeout=2m
show kubectl -n "$namespace" wait --for=delete pod -l app=web,pod-template-hash="$old" --timeout=1m
show kubectl -n "$namespace" get incidents
[ "$(kubectl -n "$namespace" get incidents -o name)" = "$earlier" ] ||
	fail "a process of the application violates the allow-list; see: kubectl -n $namespace describe incidents"

say "4. The attack: a shell in a pod"
pod=$(kubectl -n "$namespace" get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
uid=$(kubectl -n "$namespace" get pod "$pod" -o 'jsonpath={.metadata.uid}')
show kubectl -n "$namespace" exec "$pod" -- sh -c 'echo "inside the container:"; id; hostname' || true

say "5. The response"
incident=
for _ in $(seq 100); do
	incident=$(kubectl -n "$namespace" get incidents -o "jsonpath={.items[?(@.spec.pod.uid=='$uid')].metadata.name}")
	[ -z "$incident" ] || break
	sleep 0.2
done
[ -n "$incident" ] || fail "no Incident within 20 s; see: kubectl -n bailiff-system logs ds/bailiff-sensor"
kubectl -n "$namespace" wait --for=condition=Recovered "incident/$incident" --timeout=2m >/dev/null ||
	fail "no replacement within 2 minutes; see: kubectl -n $namespace describe incident $incident"
show kubectl -n "$namespace" get incidents
show kubectl -n "$namespace" get pods -o wide
printf '\nEvents of the Deployment:\n'
show kubectl -n "$namespace" events --for deployment/web
printf '\nEvents of the evicted pod:\n'
show kubectl -n "$namespace" events --for "pod/$pod"
printf '\nThe Incident, which requires the ClusterRole edit or admin:\n'
show kubectl -n "$namespace" describe incident "$incident"

say "6. An image policy: only the repository of the application is allowed, and tags are pinned to digests"
repository=${web_image%:*}
show kubectl apply -f - <<YAML
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {name: demo-our-images}
spec:
  allowedRepositories: ["$repository"]
  digest: {pin: true}
---
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicyBinding
metadata: {name: demo-our-images}
spec:
  policyName: demo-our-images
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $namespace}}}
  validationActions: [Deny]
YAML
show kubectl wait --for=condition=Rendered imageadmissionpolicy/demo-our-images --timeout=2m
show kubectl wait --for=condition=Ready imageadmissionpolicybinding/demo-our-images --timeout=2m
# The API server and the webhook each learn of a policy with a watch of their own.
denied=
for _ in $(seq 100); do
	kubectl -n "$namespace" run probe --image=ghcr.io/evil/miner --dry-run=server >/dev/null 2>&1 || denied=yes
	[ -z "$denied" ] || break
	sleep 0.2
done
[ -n "$denied" ] || fail "the API server does not enforce the policy after 20 s; see: kubectl describe iap demo-our-images"
show kubectl -n "$namespace" delete deployment other --ignore-not-found
show kubectl -n "$namespace" create deployment other --image=ghcr.io/evil/miner
kubectl -n "$namespace" wait --for=condition=ReplicaFailure deployment/other --timeout=2m >/dev/null ||
	fail "the pods of deployment other were not rejected; see: kubectl -n $namespace describe deployment other"
event=
for _ in $(seq 100); do
	event=$(kubectl -n "$namespace" events --for deployment/other | grep ImageDenied || true)
	[ -z "$event" ] || break
	sleep 0.2
done
[ -n "$event" ] || fail "the Deployment has no Event after 20 s; see: kubectl -n bailiff-system logs deploy/bailiff-webhook"
printf '\nThe Deployment is accepted, its pods are not. Its developer reads the reason:\n'
show kubectl -n "$namespace" describe deployment other

say "7. With an allowed image, the same Deployment continues; its pod has the digest that the tag names"
show kubectl -n "$namespace" patch deployment other -p "{\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"name\": \"miner\", \"image\": \"$web_image\", \"command\": [\"httpd\", \"-f\", \"-p\", \"8080\"]}]}}}}"
show kubectl -n "$namespace" rollout status deployment/other --timeout=2m
show kubectl -n "$namespace" get deployment other -o 'jsonpath={.spec.template.spec.containers[0].image}'
printf '\n'
show kubectl -n "$namespace" get pods -l app=other -o 'jsonpath={.items[*].spec.containers[0].image}'
printf '\n'

say "8. What is in an image? This one has a Go program, Python packages and a jar of old versions"
if [ -n "$context" ]; then
	. hack/steps.sh
	step "the command line" cargo build --locked -q -p bailiff
	program=target/debug/bailiff
else
	program=target/$(rustc -vV | sed -n 's/^host: //p')/release/bailiff
fi
step "packages of vulnerable versions" hack/scan-artifacts.sh
artifacts=$(hack/scan-artifacts.sh)
scanned=$(mktemp -d)
# shellcheck disable=SC2064  # expand the names of the files now
trap "rm -rf '$scanned' '${registries:-}' '${config:-}' '${logs:-}'" EXIT
mkdir -p "$scanned/image/app/lib" "$scanned/image/usr/lib/python3/dist-packages" "$scanned/osv"
cp "$artifacts/go/web" "$scanned/image/app/web"
cp "$artifacts"/java/commons-compress-*.jar "$scanned/image/app/lib"
cp -r "$artifacts"/python/site-packages/* "$scanned/image/usr/lib/python3/dist-packages"
if [ -n "$context" ]; then
	old_image=dir:$scanned/image
	from=()
else
	step "the old image into the registry" "$testbed" push busybox shop/old-web:1 --files "$scanned/image"
	old_image=$BAILIFF_TESTBED_REGISTRY/shop/old-web:1
	from=(--registries "$registries")
fi
# Some advisories that OSV publishes. `bailiff feed build --defaults` downloads all of them.
split --lines 1 --suffix-length 4 --additional-suffix .json crates/scan/tests/data/osv.jsonl "$scanned/osv/"
show "$program" feed build "osv=$scanned/osv" --file "$scanned/index"
code=0
show "$program" scan "${from[@]}" --index "$scanned/index" --fail-on high "$old_image" || code=$?
printf '\nexit code %d: in CI, a finding fails the build.\n' "$code"
[ "$code" -eq 3 ] || fail "the scan must fail with exit code 3"

say "Next steps"
if [ -n "$context" ]; then
	cat <<TEXT
  kubectl --context $context -n $namespace get incidents
  kubectl --context $context get runtimepolicies,runtimepolicybindings

Remove the demo:
  make demo-down CONTEXT=$context
TEXT
else
	cat <<TEXT
  eval "\$($testbed env)"          use this cluster in this shell
  kubectl -n $namespace get incidents
  kubectl -n $namespace exec -it deploy/web -- sh     act as the attacker
  kubectl get runtimepolicies,runtimepolicybindings

Remove the demo; nothing is left:
  make demo-down
TEXT
fi
