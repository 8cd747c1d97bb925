{{- /*
What everything is called that the release makes, in its namespace and in the whole cluster: two releases side by side
need two names. Release names may have dots, names of Services may not.
*/ -}}
{{- define "name" -}}
{{ .Release.Name | replace "." "-" }}
{{- end -}}

{{- /* Also what selects the pods, so it has to differ between two releases in one namespace. */ -}}
{{- define "labels" -}}
app.kubernetes.io/name: {{ include "name" . }}
{{- end -}}

{{- /* The Service that Services of idled apps point to: --service. */ -}}
{{- define "service" -}}
{{ .Values.config.service | default (include "name" .) }}
{{- end -}}

{{- /* What keeps the EndpointSlices of this release, and what their names end in. */ -}}
{{- define "manager" -}}
{{ include "name" . }}
{{- end -}}

{{- /* The port of an option that may have an address before it. */ -}}
{{- define "port" -}}
{{ include "text" . | splitList ":" | last }}
{{- end -}}

{{- /* A value as text. Numbers from a file are floating-point numbers, and large ones would become 1e+06. */ -}}
{{- define "text" -}}
{{ kindIs "float64" . | ternary (int64 .) . }}
{{- end -}}

{{- /* Binds a ClusterRole to the account. Takes a dict of `root`, the usual context, and `name`, that of the role. */ -}}
{{- define "binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "name" .root }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}

{{- /* Puts a ValidatingAdmissionPolicy in force. Takes a dict of `root`, the usual context, and `name`, that of the policy. */ -}}
{{- define "policybinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end -}}

{{- /* The variables of a policy that has to compare metadata. What is being created had none before. */ -}}
{{- define "metadata" -}}
- name: labels
  expression: object.metadata.?labels.orValue({})
- name: oldLabels
  expression: "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})"
- name: annotations
  expression: object.metadata.?annotations.orValue({})
- name: oldAnnotations
  expression: "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"
# What other admission policies put on every update, and these let pass: whole keys, or prefixes that end in a slash.
- name: stamps
  expression: {{ .Values.stampedKeys | toJson | squote }}
{{- include "changed" (list "changedLabels" "labels" "oldLabels") }}
{{- include "changed" (list "changedAnnotations" "annotations" "oldAnnotations") }}
{{- end -}}

{{- define "changed" }}
{{- $new := index . 1 }}
{{- $old := index . 2 }}
- name: {{ index . 0 }}
  expression: >-
    (variables.{{ $new }}.filter(key, !(key in variables.{{ $old }}) || variables.{{ $new }}[key] != variables.{{ $old }}[key])
      + variables.{{ $old }}.filter(key, !(key in variables.{{ $new }})))
    .filter(key, !variables.stamps.exists(stamp, key == stamp || (stamp.endsWith('/') && key.startsWith(stamp))))
{{- end -}}

{{- define "owners" -}}
- expression: >-
    object.metadata.?finalizers == oldObject.metadata.?finalizers
    && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences
  reason: Forbidden
  message: unidler may not change the owners or finalizers of a {{ . }}
{{- end -}}
