{{/* Names are fixed, whatever the release is called: the components and Incident protection depend on them. */}}

{{- define "bailiff.labels" -}}
app.kubernetes.io/name: bailiff
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: bailiff
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Labels that select the pods of a component; called with the name of the component. */}}
{{- define "bailiff.selector" -}}
app.kubernetes.io/name: bailiff
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "bailiff.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* PriorityClass of the pods of a component, empty if it has none; called with the root and the name. */}}
{{- define "bailiff.priorityClass" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- with (index $root.Values $component).priorityClassName -}}
{{ . }}
{{- else -}}
{{- if $root.Values.priorityClasses.create -}}
bailiff-{{ $component }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Not empty on OpenShift, or where the value says so. */}}
{{- define "bailiff.openshift" -}}
{{- if eq (toString .Values.openshift.enabled) "auto" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}true{{- end -}}
{{- else if .Values.openshift.enabled -}}
true
{{- end -}}
{{- end }}

{{/* Security context of the containers that meet the Pod Security Standard `restricted`. On OpenShift, the
SecurityContextConstraints restricted-v2 assign a user of the namespace's range and reject any other. */}}
{{- define "bailiff.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- if not (include "bailiff.openshift" .) }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Namespaces that no image policy applies to, whatever the value says: a pod that is denied there could not be
repaired from within. As JSON, so that YAML reads a name such as 123 or null as text. */}}
{{- define "bailiff.allExemptNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.exemptNamespaces | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* The file with the registries that the webhook asks. A host without a value, `quay.io:`, has the defaults. */}}
{{- define "bailiff.registries" -}}
{{- $registries := dict -}}
{{- range $host, $registry := .Values.registries -}}
{{- $_ := set $registries $host ($registry | default dict) -}}
{{- end -}}
{{- dict "registries" $registries "denyCIDRs" .Values.registryAccess.denyCIDRs | toYaml -}}
{{- end }}

{{/* Names of the Secrets that the webhook reads, as JSON. */}}
{{- define "bailiff.webhookSecrets" -}}
{{- $names := list "bailiff-webhook-tls" -}}
{{- range $registry := .Values.registries -}}
{{- range ($registry | default dict).credentials -}}
{{- $names = append $names .secret -}}
{{- end -}}
{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* Names of the ConfigMaps with what registries said about admitted images, as JSON. */}}
{{- define "bailiff.factConfigMaps" -}}
{{- $names := list -}}
{{- range $number := until 8 -}}
{{- $names = append $names (printf "bailiff-facts-%d" $number) -}}
{{- end -}}
{{- $names | toJson -}}
{{- end }}

{{- define "bailiff.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
{{- end }}

{{/* Pod Security level that the namespace enforces by its label; empty without a label or a cluster. */}}
{{- define "bailiff.podSecurity" -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace | default dict }}
{{- $labels := ($namespace.metadata | default dict).labels | default dict }}
{{- get $labels "pod-security.kubernetes.io/enforce" }}
{{- end }}

{{/* Ports of the registries in the value registries, of their mirrors and the other hosts that they name, and of
networkPolicy.registryPorts. */}}
{{- define "bailiff.registryPorts" -}}
{{- $ports := list }}
{{- range .Values.networkPolicy.registryPorts }}
{{- $ports = append $ports (int .) }}
{{- end }}
{{- range $host, $registry := .Values.registries }}
{{- $registry = default dict $registry }}
{{- $address := $host }}
{{- with $registry.endpoint }}
{{- $address = regexReplaceAll "^[a-z]+://" . "" | splitList "/" | first }}
{{- end }}
{{- $port := regexFind ":[0-9]+$" $address | trimPrefix ":" }}
{{- $ports = append $ports (int (default (ternary "80" "443" (default false $registry.plainHTTP)) $port)) }}
{{- range concat (default list $registry.tokenServers) (default list $registry.redirectHosts) }}
{{- $ports = append $ports (int (default "443" (regexFind ":[0-9]+$" . | trimPrefix ":"))) }}
{{- end }}
{{- end }}
{{- join "," (uniq $ports) }}
{{- end }}
