{{/* Names are fixed: components, the protection of Incidents and the documentation rely on them. */}}

{{- define "bailiff.labels" -}}
app.kubernetes.io/name: bailiff
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: bailiff
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Labels that select a component's pods; called with the component's name. */}}
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

{{/* The PriorityClass of a component's pods, if there is one; called with the root and the name. */}}
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

{{/* What every container has that needs no privilege: the Pod Security Standard `restricted`. */}}
{{- define "bailiff.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
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
