{{/* Parts of the entries of the webhook configurations. */}}

{{/* Called with the root and the path. */}}
{{- define "bailiff.webhookClient" }}
  clientConfig:
    service: {name: bailiff-webhook, namespace: {{ (index . 0).Release.Namespace }}, port: 443, path: {{ index . 1 }}}
  admissionReviewVersions: [v1]
  matchPolicy: Equivalent
  timeoutSeconds: {{ (index . 0).Values.webhook.timeoutSeconds }}
{{- end }}

{{/* Called with the exempt namespaces, as JSON. */}}
{{- define "bailiff.webhookNamespaces" }}
  # By the name, which nobody can change, and not by a label that tenants can set.
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: NotIn, values: {{ . }}}
  objectSelector: {}
{{- end }}

{{- define "bailiff.webhookPods" }}
  rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE, UPDATE]
    resources: [pods]
    scope: Namespaced
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [UPDATE]
    resources: [pods/ephemeralcontainers]
    scope: Namespaced
  matchConditions:
  # Pods that a kubelet runs from a file and reports afterwards: to deny one stops nothing. The annotation alone is
  # no exemption, because tenants can set it.
  - name: not-a-mirror-pod
    expression: >-
      !(has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups &&
      has(object.metadata.annotations) && object.metadata.annotations != null &&
      'kubernetes.io/config.mirror' in object.metadata.annotations)
  # An update that changes no name and no image of a container, and no volume. It can change the resources of
  # containers (in-place resize). With more than 500 containers each change counts, which bounds the cost.
  - name: changes-images
    expression: >-
      request.operation != 'UPDATE' || !(
      {{- range $list := list "containers" "initContainers" "ephemeralContainers" }}
      {{- $new := printf "object.spec.?%s.orValue(null)" $list }}
      {{- $old := printf "oldObject.spec.?%s.orValue(null)" $list }}
      {{- $images := printf "spec.%s.map(c, [c.?name.orValue(''), c.?image.orValue('')])" $list }}
      ({{ $new }} == {{ $old }} || ({{ $new }} != null && {{ $old }} != null &&
      size(object.spec.{{ $list }}) <= 500 && size(oldObject.spec.{{ $list }}) <= 500 &&
      object.{{ $images }} == oldObject.{{ $images }})) &&
      {{- end }}
      object.spec.?volumes.orValue(null) == oldObject.spec.?volumes.orValue(null))
{{- end }}
