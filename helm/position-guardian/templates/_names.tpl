{{/* Names and labels. */}}

{{- define "guardian.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* 40 characters leave room for the longest suffix within the 63 of a label. */}}
{{- define "guardian.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "guardian.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "guardian.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* The name of what belongs to the whole cluster: two releases must not share one. */}}
{{- define "guardian.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "guardian.fullname" .) -}}
{{- end }}

{{- define "guardian.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: position-guardian
{{ include "guardian.selectorLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "guardian.selectorLabels" -}}
app.kubernetes.io/name: {{ include "guardian.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of one component: (list $ "receiver") */}}
{{- define "guardian.componentLabels" -}}
{{ include "guardian.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "guardian.componentSelector" -}}
{{ include "guardian.selectorLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "guardian.componentName" -}}
{{ include "guardian.fullname" (index . 0) }}-{{ index . 1 }}
{{- end }}

{{- define "guardian.authSecret" -}}
{{- default (printf "%s-auth" (include "guardian.fullname" .)) .Values.auth.existingSecret -}}
{{- end }}

{{- define "guardian.tag" -}}
{{- default .Chart.AppVersion .Values.image.tag -}}
{{- end }}

{{- define "guardian.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ include "guardian.tag" . }}
{{- end -}}
{{- end }}

{{/* An address inside a URL: http://[$(POD_IP)] where pods speak IPv6. */}}
{{- define "guardian.anyAddress" -}}
{{ ternary "::" "0.0.0.0" .Values.ipv6 }}
{{- end }}
