{{- define "labels" -}}
app.kubernetes.io/name: unidler
{{- end -}}

{{- /* The name that idled apps' Services lead to: --service. */ -}}
{{- define "service" -}}
{{ .Values.config.service | default "unidler" }}
{{- end -}}

{{- /* The container's port of an option that may have an address before it. */ -}}
{{- define "port" -}}
{{ . | toString | splitList ":" | last }}
{{- end -}}

{{- define "binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    app.kubernetes.io/name: unidler
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: unidler
    namespace: {{ .namespace }}
{{- end -}}
