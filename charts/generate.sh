#!/usr/bin/env bash
# Makes what the charts hold from the source: the CustomResourceDefinitions and what confines sensors
# from crates/api, and the library of policies from the folder policies.
#
# usage: generate.sh [FOLDER]        default: charts; a test compares another folder with it
set -euo pipefail
cd "$(dirname "$0")/.."
charts=${1:-charts}
templates=$charts/bailiff/templates
mkdir -p "$templates/crds"
made="# Made by charts/generate.sh; what is changed here is lost."

# The example prints one YAML stream; each document becomes a template with the switches of
# values.yaml around it.
cargo run --locked -q -p bailiff-api --example crds | awk -v folder="$templates/crds" -v made="$made" '
	function finish() { if (file != "") { print "{{- end }}" > file; close(file) } file = "" }
	/^---$/ { finish(); text = ""; next }
	file == "" {
		text = text $0 "\n"
		if ($0 ~ /^  name: /) {
			plural = $2
			sub(/\..*/, "", plural)
			file = folder "/" plural ".yaml"
			sub(/metadata:\n/, "metadata:\n  {{- if .Values.crds.keep }}\n  annotations: {helm.sh/resource-policy: keep}\n  {{- end }}\n  labels:\n    {{- include \"bailiff.labels\" . | nindent 4 }}\n", text)
			printf "%s\n{{- if .Values.crds.enabled }}\n%s", made, text > file
		}
		next
	}
	{ print > file }
	END { finish() }
'

{
	printf '%s\n' "$made"
	cargo run --locked -q -p bailiff-api --example protection -- RELEASE-NAMESPACE |
		sed 's/RELEASE-NAMESPACE/{{ .Release.Namespace }}/; s/^metadata:$/metadata:\n  labels:\n    {{- include "bailiff.labels" . | nindent 4 }}/'
} >"$templates/admission-policies.yaml"

# A policy that is gone from the library must go from the chart, too.
rm -rf "$charts/bailiff-policies/policies"
mkdir -p "$charts/bailiff-policies/policies"
for folder in policies/*/; do
	{
		printf '%s\n' "$made"
		cat "$folder/policy.yaml"
	} >"$charts/bailiff-policies/policies/$(basename "$folder").yaml"
done
