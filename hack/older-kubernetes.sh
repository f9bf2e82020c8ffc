#!/usr/bin/env bash
# Installs the charts on a real API server of the oldest supported Kubernetes, 1.30, and checks what a GitOps tool
# and a user meet there: nothing differs, no field is lost, every expression compiles.
#
# etcd, the API server and the controller that checks the types of admission policies run on loopback ports, without
# a node: Bailiff's controller and renderer run beside them with the tokens of their accounts, the sensor and the
# webhook do not run. Requires root, as the test cluster does. Building the API server takes minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
# shellcheck source=hack/steps.sh
. hack/steps.sh
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
namespace="bailiff-system"
etcd_port=23791 peer_port=23801 api_port=6444 controller_port=18081 renderer_port=18082
[ "$(id -u)" -eq 0 ] || {
	printf 'older-kubernetes.sh: requires root, to give components the files of their accounts in mount namespaces\n' >&2
	exit 1
}

step "packages" testbed/install.sh
step "etcd, helm and kubectl" hack/tools.sh etcd helm kubernetes
step "API server of Kubernetes 1.30" hack/tools.sh kubernetes-1.30
older=$(hack/tools.sh kubernetes-1.30)
step "bailiff" cargo build --locked -p bailiff
bailiff=$PWD/target/debug/bailiff
compare=$PWD/hack/older-kubernetes/compare.py typed=$PWD/hack/older-kubernetes/typed.py
policies=$PWD/hack/older-kubernetes/policies.yaml
export PATH=$cache/bin:$PATH

state=$(mktemp -d)
pids=()
# shellcheck disable=SC2154 # $logs comes from steps.sh
stop() {
	# Nothing of it is kept, and an API server takes minutes to end in order.
	[ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
	[ ${#pids[@]} -eq 0 ] || wait "${pids[@]}" 2>/dev/null || true
	rm -rf "$state" "$logs"
}
trap stop EXIT
# kubectl and helm keep their caches there, and read no configuration of the user.
export HOME=$state KUBECONFIG=$state/kubeconfig
unset HELM_CACHE_HOME HELM_CONFIG_HOME HELM_DATA_HOME XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME

# start NAME COMMAND…: in the background, with a log.
start() {
	local name=$1
	shift
	"$@" >"$state/$name.log" 2>&1 &
	pids+=($!)
}

# eventually SECONDS COMMAND…: repeats a command until it succeeds.
eventually() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >"$state/eventually" 2>&1; do
		if [ "$SECONDS" -ge "$until" ]; then
			cat "$state/eventually"
			return 1
		fi
		sleep 0.5
	done
}

start_cluster() {
	local token
	token=$(cat /proc/sys/kernel/random/uuid)
	printf '%s,admin,admin,system:masters\n' "$token" >"$state/tokens.csv"
	openssl genrsa -out "$state/service-account.key" 2048 || return 1
	start etcd etcd --data-dir "$state/etcd" --unsafe-no-fsync --log-level=warn \
		--listen-client-urls="http://127.0.0.1:$etcd_port" --advertise-client-urls="http://127.0.0.1:$etcd_port" \
		--listen-peer-urls="http://127.0.0.1:$peer_port"
	# The certificate is made by the API server itself. Webhooks have no endpoint, so a call of one fails at once.
	start kube-apiserver "$older/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd_port" \
		--bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$api_port" --cert-dir="$state/certificates" \
		--endpoint-reconciler-type=none --service-cluster-ip-range=10.203.128.0/24 \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$state/service-account.key" \
		--service-account-signing-key-file="$state/service-account.key" --token-auth-file="$state/tokens.csv" \
		--authorization-mode=Node,RBAC --enable-aggregator-routing=true --allow-privileged --profiling=false
	cat >"$KUBECONFIG" <<-YAML
		apiVersion: v1
		kind: Config
		current-context: older
		contexts: [{name: older, context: {cluster: older, user: admin}}]
		clusters:
		- name: older
		  cluster: {server: "https://127.0.0.1:$api_port", certificate-authority: $state/certificates/apiserver.crt}
		users: [{name: admin, user: {token: $token}}]
	YAML
	eventually 120 kubectl get --raw /readyz || {
		tail -n 20 "$state/kube-apiserver.log"
		return 1
	}
	kubectl version -o json | grep -q '"gitVersion": "v1\.30\.' || return 1
	start kube-controller-manager "$older/kube-controller-manager" --kubeconfig="$KUBECONFIG" --leader-elect=false \
		--controllers=validatingadmissionpolicy-status-controller --bind-address=127.0.0.1 --secure-port=0
	eventually 60 kubectl get namespace default
}

# The values of each part: the defaults, and everything that a cluster without the Prometheus operator can have.
everything() {
	cat <<-YAML
		exemptNamespaces: [infrastructure]
		criticalNamespaces: [kube-system, storage]
		imagePullSecrets: [{name: registry}]
		response: {allowPodDeletion: true, mode: Audit, maxGracePeriodSeconds: 60}
		registries:
		  registry.example.com:
		    endpoint: https://mirror.example.com/example
		    tokenServers: [auth.example.com]
		    credentials:
		    - secret: registry-example-com
		      repositories: [registry.example.com/team/**]
		      namespaceSelector: {matchLabels: {team: shop}}
		registryAccess: {denyCIDRs: [10.0.0.0/8]}
		webhook:
		  failurePolicy: Fail
		  apiServerCIDRs: [127.0.0.1/32]
		  hostNetwork: true
		  annotations: {example.com/owner: platform}
		  podLabels: {team: platform}
		controller: {replicas: 3, podAnnotations: {example.com/owner: platform}}
		sensor: {podLabels: {team: platform}}
		renderer: {nodeSelector: {kubernetes.io/os: linux}}
	YAML
}

# upgrade VALUES: as helm does it, also the first time.
upgrade() {
	helm upgrade --install bailiff charts/bailiff -n "$namespace" --create-namespace --hide-notes --values "$1" &&
		helm upgrade --install bailiff-policies charts/bailiff-policies -n "$namespace" --hide-notes
}

# render VALUES: as a GitOps tool does it, without the pods of helm test.
render() {
	helm template bailiff charts/bailiff -n "$namespace" --kube-version 1.30 --skip-tests --values "$1" &&
		printf -- '---\n' &&
		helm template bailiff-policies charts/bailiff-policies -n "$namespace" --kube-version 1.30
}

# live FILE: the objects of a file as the API server returns them.
live() { kubectl get -f "$1" -o json; }

# A GitOps tool compares what it renders with what the API server has, or has the API server merge it.
no_drift() {
	local rendered=$1
	kubectl create --dry-run=client --validate=false -f "$rendered" -o json >"$state/wanted.json" || return 1
	live "$rendered" >"$state/live.json" || return 1
	python3 "$compare" kept "$state/wanted.json" "$state/live.json" || return 1
	# Strict: a field that the API server does not know is an error.
	kubectl apply --server-side --dry-run=server --validate=strict --force-conflicts --field-manager=gitops \
		-f "$rendered" || return 1
	kubectl diff --server-side --force-conflicts --field-manager=gitops -f "$rendered"
}

# The same release once more changes nothing.
upgrade_changes_nothing() {
	local values=$1 rendered=$2
	live "$rendered" >"$state/before.json" || return 1
	upgrade "$values" || return 1
	live "$rendered" >"$state/after.json" || return 1
	python3 "$compare" same "$state/before.json" "$state/after.json"
}

# The controller manager has checked the types of each admission policy.
all_are_checked() {
	local lines='{range .items[*]}{.metadata.name} {.metadata.generation} {.status.observedGeneration}{"\n"}{end}'
	kubectl get validatingadmissionpolicies -o jsonpath="$lines" |
		awk '$2 != $3 { print $1 " is not checked"; bad = 1 } END { exit bad || NR == 0 }'
}

# The types of every expression of every admission policy are checked, and there is no warning.
types_are_right() {
	local code=0
	kubectl get validatingadmissionpolicies -o json >"$state/policies.json" || return 1
	python3 "$typed" copies <"$state/policies.json" >"$state/typed.json" || return 1
	kubectl apply --server-side -f "$state/typed.json" || return 1
	eventually 60 all_are_checked || return 1
	kubectl get validatingadmissionpolicies -o json >"$state/policies.json" || return 1
	python3 "$typed" warnings <"$state/policies.json" || code=$?
	kubectl delete -f "$state/typed.json" || return 1
	return "$code"
}

crds_are_established() {
	local crds
	mapfile -t crds < <(kubectl get crds -o name | grep 'bailiff\.dev$')
	[ ${#crds[@]} -eq 5 ] || {
		printf 'there are %d kinds instead of 5\n' ${#crds[@]}
		return 1
	}
	kubectl wait --for=condition=Established --timeout=60s "${crds[@]}"
}

# round_trip FILE COMMAND…: applies a file, and finds all of it in what the API server returns.
round_trip() {
	local file=$1
	shift
	"$@" --validate=strict -f "$file" || return 1
	kubectl create --dry-run=client --validate=false -f "$file" -o json >"$state/wanted.json" || return 1
	kubectl get -f "$file" -o json >"$state/live.json" || return 1
	python3 "$compare" kept "$state/wanted.json" "$state/live.json"
}

# A node and a pod of its sensor, which no kubelet starts, and a token that names both.
sensor_token() {
	kubectl create namespace shop >/dev/null && kubectl create -f - >/dev/null <<-YAML || return 1
		apiVersion: v1
		kind: Node
		metadata: {name: older-node}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: sensor, namespace: $namespace}
		spec:
		  nodeName: older-node
		  serviceAccountName: bailiff-sensor
		  containers: [{name: sensor, image: sensor}]
	YAML
	kubectl create token bailiff-sensor -n "$namespace" --bound-object-kind=Pod --bound-object-name=sensor
}

# incident DIGITS NODE: an Incident as the sensor of a node writes it.
incident() {
	local now
	now=$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)
	cat <<-YAML
		apiVersion: bailiff.dev/v1alpha1
		kind: Incident
		metadata:
		  name: inc-$1-older-node
		  namespace: shop
		  labels: {bailiff.dev/policy: all-fields, bailiff.dev/node: $2, bailiff.dev/pod-uid: pod-uid}
		spec:
		  type: Violation
		  severity: High
		  policyRef: {name: all-fields, uid: policy-uid, generation: 1}
		  bindingRefs: [{name: all-fields, uid: binding-uid}]
		  nodeName: $2
		  pod: {name: web-1, namespace: shop, uid: pod-uid, labels: {app: web}, serviceAccountName: default}
		  container: {id: "containerd://0123", name: web, image: "busybox:1", imageID: "sha256:0123", type: App}
		  process:
		    executable: /bin/busybox
		    invokedPath: /bin/sh
		    names: [busybox, sh]
		    args: [sh, -c, id]
		    argsTruncated: true
		    workingDirectory: /
		    executableSource: Image
		    origin: Exec
		    uid: 0
		    gid: 0
		    pid: 7
		    startTime: "$now"
		    ancestors: [{executable: /bin/busybox, args: [httpd], pid: 1, startTime: "$now"}]
		  violations: [{expressionIndex: 0, message: no shells}]
		  execTime: "$now"
	YAML
}

# denied MESSAGE COMMAND…: the API server rejects a request with this message.
denied() {
	local message=$1 said
	shift
	if said=$("$@" 2>&1); then
		printf 'accepted: %s\n' "$said"
		return 1
	fi
	case $said in
	*"$message"*) ;;
	*)
		printf 'rejected with another message: %s\n' "$said"
		return 1
		;;
	esac
}

# The protection of Incidents denies others what it denies on the test cluster, and lets the sensor write.
incidents_are_protected() {
	local token
	token=$(sensor_token) || return 1
	incident 0123456789abcdef older-node >"$state/incident.yaml"
	incident 1123456789abcdef other-node >"$state/of-another-node.yaml"
	denied 'Incidents are evidence: only Bailiff can create or update them' \
		kubectl create -f "$state/incident.yaml" || return 1
	denied 'only the sensor of the node in spec.nodeName can create an Incident' \
		kubectl create --token="$token" -f "$state/of-another-node.yaml" || return 1
	round_trip "$state/incident.yaml" kubectl create --token="$token" || return 1
	denied 'the Incident is open' kubectl delete -f "$state/incident.yaml" || return 1
	denied 'spec is immutable' kubectl patch -f "$state/incident.yaml" --type=merge \
		--patch '{"spec": {"severity": "Low"}}' || return 1
	denied 'Incidents are evidence: only Bailiff can create or update them' kubectl patch -f "$state/incident.yaml" \
		--subresource=status --type=merge --patch '{"status": {"phase": "Resolved"}}' || return 1
	kubectl patch --token="$token" -f "$state/incident.yaml" --subresource=status --type=merge \
		--patch "{\"status\": {\"series\": $(series)}}" || return 1
	printf '{"kind": "Incident", "metadata": {"namespace": "shop", "name": "inc-0123456789abcdef-older-node"}, "status": {"series": %s}}' \
		"$(series)" >"$state/wanted.json"
	kubectl get -f "$state/incident.yaml" -o json >"$state/live.json" || return 1
	python3 "$compare" kept "$state/wanted.json" "$state/live.json"
}

# The series of an Incident as a sensor writes it.
series() {
	cat <<-JSON
		{"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z", "policyGeneration": 1,
		"bindingRefs": [{"name": "all-fields", "uid": "binding-uid"}],
		"firstProcesses": [{"executable": "/bin/busybox", "args": ["sh"], "argsTruncated": true, "origin": "Exec", "count": 2,
		"firstObservedTime": "2026-01-01T00:00:00.000000Z", "lastObservedTime": "2026-01-01T00:00:00.000000Z"}]}
	JSON
}

# The command line reads every kind there, without fields that Kubernetes 1.30 cannot select. No component runs, so
# the checks of those fail.
command_line_works() {
	local code=0
	"$bailiff" status >"$state/status" 2>"$state/errors" || code=$?
	cat "$state/status" "$state/errors"
	[ "$code" -eq 1 ] || return 1
	grep -q '^incident-protection  *OK ' "$state/status" || return 1
	grep -q '^response-switch  *OK ' "$state/status" || return 1
	grep -q '^controller  *Failed ' "$state/status" || return 1
	! grep -q ' cannot ' "$state/status" || return 1
	"$bailiff" incidents --all-namespaces >"$state/incidents" || return 1
	cat "$state/incidents"
	grep -q '/bin/busybox' "$state/incidents"
}

# component NAME PORT: starts a component as its pod would run it, with its account.
component() {
	local files=$state/$1-account
	mkdir -p "$files" || return 1
	cp "$state/certificates/apiserver.crt" "$files/ca.crt" || return 1
	printf '%s' "$namespace" >"$files/namespace"
	kubectl create token "bailiff-$1" -n "$namespace" >"$files/token" || return 1
	# shellcheck disable=SC2016 # the inner shell expands them
	start "bailiff-$1" unshare --mount --propagation private bash -ec '
		account=/run/secrets/kubernetes.io/serviceaccount files=$(mktemp -d)
		cp "$1"/* "$files"
		shift
		mount -t tmpfs tmpfs /run
		mkdir -p "$account"
		cp "$files"/* "$account"
		rm -r "$files"
		exec "$@"
	' component "$files" env KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT="$api_port" \
		BAILIFF_NAMESPACE="$namespace" BAILIFF_POD_NAME="$1-0" BAILIFF_BIND_ADDRESS="127.0.0.1:$2" \
		BAILIFF_WEBHOOK=true "$bailiff" "$1"
}

# What the controller and the renderer write.
statuses_are_written() {
	kubectl wait --for=condition=Ready runtimepolicies,runtimepolicybindings --all --timeout=60s || return 1
	kubectl wait --for=condition=Rendered imageadmissionpolicies --all --timeout=60s || return 1
	kubectl wait --for=condition=Ready imageadmissionpolicies,imageadmissionpolicybindings --all --timeout=60s || return 1
	kubectl wait --for=condition=Responded incidents --all -n shop --timeout=60s || return 1
	kubectl get validatingadmissionpolicy bailiff-image.all-fields || return 1
	types_are_right
}

components_work() {
	component controller "$controller_port" || return 1
	component renderer "$renderer_port" || return 1
	statuses_are_written || {
		kubectl get imageadmissionpolicies,imageadmissionpolicybindings -o jsonpath='{range .items[*]}{.metadata.name} {.status.conditions}{"\n"}{end}'
		tail -n 20 "$state"/bailiff-*.log
		return 1
	}
	"$bailiff" status >"$state/status" || true
	cat "$state/status"
	grep -q '^leader-election  *OK ' "$state/status"
}

# run_pod IMAGE: a dry run of a pod that the policy with all fields applies to.
run_pod() { kubectl run web -n shop --labels=app=web --image="$1" --dry-run=server; }

# The rendered policies decide about pods. No webhook answers.
images_are_decided() {
	local digest
	digest=sha256:$(printf '0%.0s' {1..64})
	kubectl label namespace shop team=shop || return 1
	kubectl create serviceaccount default -n shop || return 1
	eventually 30 denied bailiff-image.all-fields run_pod "registry.example.com/other/web@$digest" || return 1
	run_pod "registry.example.com/team/web@$digest"
}

stop_components() {
	local both=("${pids[@]: -2}")
	kill "${both[@]}"
	wait "${both[@]}" || true
	pids=("${pids[@]:0:${#pids[@]}-2}")
}

step "etcd, API server, controller manager" start_cluster
: >"$state/default.yaml"
everything >"$state/everything.yaml"
for values in default everything; do
	step "helm: values $values" upgrade "$state/$values.yaml"
	step "kinds" crds_are_established
	step "types of admission policies" types_are_right
	render "$state/$values.yaml" >"$state/$values-rendered.yaml"
	step "no drift" no_drift "$state/$values-rendered.yaml"
	step "the same upgrade once more" upgrade_changes_nothing "$state/$values.yaml" "$state/$values-rendered.yaml"
	if [ "$values" = default ]; then
		step "policies and bindings, all fields" round_trip "$policies" kubectl apply --server-side
		step "Incidents" incidents_are_protected
		step "bailiff status and incidents" command_line_works
		step "controller and renderer" components_work
		step "pods and their images" images_are_decided
		step "no drift while they run" no_drift "$state/$values-rendered.yaml"
		stop_components
	fi
done
printf '\nKubernetes %s: no difference, no lost field, no warning\n' "$(kubectl version -o json 2>/dev/null | sed -n 's/.*"gitVersion": "\(v1\.30\.[0-9]*\)".*/\1/p')"
