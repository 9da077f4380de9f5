{{- define "plimsoll.fullname" -}}
{{- if contains "plimsoll" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-plimsoll" .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end }}

{{- define "plimsoll.labels" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/part-of: plimsoll
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Pods are found by these; the operator's own managed-by label is never on them. */}}
{{- define "plimsoll.selector" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "plimsoll.image" -}}
{{- $image := index .root.Values.image .name -}}
{{ .root.Values.image.registry }}{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "plimsoll.serviceAccount" -}}{{ include "plimsoll.fullname" . }}-operator{{- end }}
{{- define "plimsoll.operatorUser" -}}system:serviceaccount:{{ .Release.Namespace }}:{{ include "plimsoll.serviceAccount" . }}{{- end }}
{{- define "plimsoll.storeSecret" -}}
{{- if .Values.store.install -}}
{{ .Values.store.existingSecret | default (printf "%s-store-root" (include "plimsoll.fullname" .)) }}
{{- else -}}
{{ required "store.existingSecret: name a Secret with accessKeyId and secretAccessKey for store.external.endpoint" .Values.store.existingSecret }}
{{- end -}}
{{- end }}
{{- define "plimsoll.storeEndpoint" -}}http://{{ include "plimsoll.fullname" . }}-store.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:7070{{- end }}

{{- define "plimsoll.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "plimsoll.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* Each policy is bound by itself; scope follows watchNamespaces. */}}
{{- define "plimsoll.policyBinding" }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{- include "plimsoll.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
  {{- if .root.Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values: {{ concat .root.Values.watchNamespaces .more | uniq | toJson }}
  {{- end }}
{{- end }}
