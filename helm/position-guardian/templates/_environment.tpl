{{/* What the services read: GUARDIAN_… variables, and the passwords that go into their URLs. */}}

{{- define "guardian.databaseEnvironment" -}}
{{- $mode := .Values.database.mode -}}
{{- if eq $mode "bundled" }}
{{- /* libpq takes a password that the URL lacks from here. */}}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "guardian.fullname" . }}-postgresql
      key: password
- name: GUARDIAN_DATABASE_URL
  value: postgresql+psycopg2://guardian@{{ include "guardian.fullname" . }}-postgresql:5432/guardian
{{- else if eq $mode "cnpg" }}
- name: GUARDIAN_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "guardian.fullname" . }}-db-app
      key: uri
{{- else }}
- name: GUARDIAN_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "database.existingSecret: name the Secret that holds the database's URL" .Values.database.existingSecret }}
      key: {{ .Values.database.existingSecretKey }}
{{- end }}
{{- end }}

{{- define "guardian.redisEnvironment" -}}
{{- if eq .Values.redis.mode "bundled" }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "guardian.fullname" . }}-valkey
      key: password
- name: GUARDIAN_REDIS_URL
  value: redis://:$(REDIS_PASSWORD)@{{ include "guardian.fullname" . }}-valkey:6379/0
{{- else if eq .Values.redis.mode "external" }}
- name: GUARDIAN_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "redis.existingSecret: name the Secret that holds Redis' URL" .Values.redis.existingSecret }}
      key: {{ .Values.redis.existingSecretKey }}
{{- end }}
{{- end }}

{{- define "guardian.logEnvironment" -}}
- name: GUARDIAN_LOG_FORMAT
  value: {{ .Values.log.format }}
- name: GUARDIAN_LOG_LEVEL
  value: {{ .Values.log.level }}
{{- end }}

{{- define "guardian.installationEnvironment" -}}
- name: GUARDIAN_INSTALLATION
  valueFrom:
    secretKeyRef:
      name: {{ include "guardian.authSecret" . }}
      key: installation
{{- end }}

{{- define "guardian.gatewayTokenEnvironment" -}}
- name: GUARDIAN_GATEWAY_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "guardian.authSecret" . }}
      key: gateway-token
{{- end }}

{{/* Of those who call the gateway and write to the namespace's resources. */}}
{{- define "guardian.callerEnvironment" -}}
- name: GUARDIAN_GATEWAY_URL
  value: http://{{ include "guardian.fullname" . }}-gateway:8889
{{ include "guardian.gatewayTokenEnvironment" . }}
- name: GUARDIAN_CLUSTER_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end }}
