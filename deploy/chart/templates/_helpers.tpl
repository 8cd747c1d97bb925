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
{{ include "service" . }}
{{- end -}}

{{- /* The port of an option that may have an address before it. */ -}}
{{- define "port" -}}
{{ include "text" . | splitList ":" | last }}
{{- end -}}

{{- /* A value as text. Numbers from a file are floating-point numbers, and large ones would become 1e+06. */ -}}
{{- define "text" -}}
{{ if kindIs "slice" . }}{{ join "," . }}{{ else }}{{ kindIs "float64" . | ternary (int64 .) . }}{{ end }}
{{- end -}}

{{- /* The kinds of custom workloads, as JSON: Rollouts, and those of --scalable, which are written RESOURCE.VERSION.GROUP. */ -}}
{{- define "scalable" -}}
{{- $kinds := list }}
{{- range prepend (splitList "," (include "text" (.Values.config.scalable | default "")) | compact) "rollouts.v1alpha1.argoproj.io" }}
{{- $parts := regexSplit "[.]" (trim .) 3 }}
{{- if ne (len $parts) 3 }}{{ fail (printf "config.scalable: expected RESOURCE.VERSION.GROUP, not %s" .) }}{{ end }}
{{- $kinds = append $kinds (dict "resource" (first $parts) "version" (index $parts 1) "group" (last $parts)) }}
{{- end }}
{{- $kinds | toJson }}
{{- end -}}

{{- /* Their rules in a role. */ -}}
{{- define "scalableRules" -}}
{{- $rules := list }}
{{- range include "scalable" . | fromJsonArray }}
{{- $rules = append $rules (dict "group" .group "resource" .resource) }}
{{- end }}
{{- range $rules | uniq }}
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}]
  # list, watch: as above.
  verbs: [list, watch]
- apiGroups: [{{ .group }}]
  resources: [{{ .resource }}/scale]
  # patch: as above.
  verbs: [patch]
{{- end }}
{{- end -}}

{{- /* Their API versions, as a list in CEL. */ -}}
{{- define "scalableVersions" -}}
{{- $versions := list }}
{{- range include "scalable" . | fromJsonArray }}
{{- $versions = append $versions (printf "'%s/%s'" .group .version) }}
{{- end }}
{{- printf "[%s]" (join ", " ($versions | uniq)) }}
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

{{- /* Whether an update changes until when kube-downscaler leaves a workload alone. */ -}}
{{- define "excludes" -}}
object.metadata.?annotations[?'downscaler/exclude-until'] != oldObject.metadata.?annotations[?'downscaler/exclude-until']
{{- end -}}

{{- /* Whether a changed annotation is one that has kube-downscaler leave something alone until a time. */ -}}
{{- define "exclusion" -}}
(key == 'downscaler/exclude-until' ? variables.annotations[?key].orValue('').matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$') : key == 'downscaler/original-replicas' && !(key in variables.annotations))
{{- end -}}

{{- define "owners" -}}
- expression: >-
    object.metadata.?finalizers == oldObject.metadata.?finalizers
    && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences
  reason: Forbidden
  message: unidler may not change the owners or finalizers of a {{ . }}
{{- end -}}

{{- /* The options and the variables that are set, as a container's env. */ -}}
{{- define "env" -}}
{{- $service := include "service" . }}
{{- $config := .Values.config }}
{{- if ne $service "unidler" }}{{ $config = merge (dict "service" $service) $config }}{{ end }}
{{- $env := list }}
{{- range $flag, $value := $config }}
{{- $variable := snakecase $flag | upper }}
{{- if eq $flag "otlpEndpoint" }}{{ $variable = printf "OTEL_EXPORTER_%s" $variable }}
{{- else if not (has $flag (list "port" "unidleKeyLabel")) }}{{ $variable = printf "UNIDLER_%s" $variable }}
{{- end }}
{{- /* Empty means what it means to leave it out: the default of the program. */ -}}
{{- with include "text" $value }}{{ $env = append $env (dict "name" $variable "value" .) }}{{ end }}
{{- end }}
{{- concat $env .Values.env | toYaml }}
{{- end -}}

{{- /* Where pods run, and what their images are pulled with. */ -}}
{{- define "placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* As whom containers run, of a pod. */ -}}
{{- define "user" -}}
securityContext:
  runAsNonRoot: true
  {{- with .Values.runAsUser }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- /* What a container may do at most. */ -}}
{{- define "restricted" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- /* Whether a request is of one of the accounts: that of the server, or that of the job which restores all apps at the end. */ -}}
{{- define "is-unidler" -}}
request.userInfo.username in ['system:serviceaccount:{{ .Release.Namespace }}:{{ include "name" . }}', 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "name" . }}-restore']
{{- end -}}

{{- /* Has an object there only while the release is being uninstalled. Takes the weight: the lowest comes first. */ -}}
{{- define "hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
