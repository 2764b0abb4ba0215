{{/* The custom resources' definitions as a ConfigMap's data. */}}
{{- define "guardian.crds" -}}
{{ (.Files.Glob "crds/*.yaml").AsConfig }}
{{- end }}

{{- define "guardian.migrationPod" -}}
metadata:
  labels:
    {{- include "guardian.componentSelector" (list $ "migration") | nindent 4 }}
  annotations:
    guardian.trading/auth-revision: {{ .Values.auth.revision | quote }}
    {{- if .Values.crds.upgrade }}
    checksum/crds: {{ include "guardian.crds" . | sha256sum }}
    {{- end }}
spec:
  restartPolicy: OnFailure
  automountServiceAccountToken: {{ .Values.crds.upgrade }}
  serviceAccountName: {{ include "guardian.fullname" . }}-migration
  enableServiceLinks: false
  securityContext:
    {{- include "guardian.podSecurity" . | nindent 4 }}
  {{- include "guardian.pullSecrets" . | nindent 2 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  initContainers:
    {{- if .Values.crds.upgrade }}
    - name: crds
      {{- include "guardian.container" . | nindent 6 }}
      command: [python, -m, guardian_operator.crd_upgrade]
      args: [/crds]
      resources:
        {{- toYaml .Values.migration.resources | nindent 8 }}
      volumeMounts:
        {{- include "guardian.scratchMounts" . | nindent 8 }}
        - name: crds
          mountPath: /crds
          readOnly: true
    {{- end }}
    - name: schema
      {{- include "guardian.container" . | nindent 6 }}
      command: [guardian, db, upgrade]
      args: ["--wait", "600"]
      env:
        {{- include "guardian.databaseEnvironment" . | trim | nindent 8 }}
      resources:
        {{- toYaml .Values.migration.resources | nindent 8 }}
      volumeMounts:
        {{- include "guardian.scratchMounts" . | nindent 8 }}
  containers:
    - name: token
      {{- include "guardian.container" . | nindent 6 }}
      command: [guardian, token, import]
      args: ["--from-env", GUARDIAN_WEBHOOK_TOKEN]
      env:
        {{- include "guardian.databaseEnvironment" . | trim | nindent 8 }}
        - name: GUARDIAN_WEBHOOK_TOKEN
          valueFrom:
            secretKeyRef:
              name: {{ include "guardian.authSecret" . }}
              key: webhook-token
      resources:
        {{- toYaml .Values.migration.resources | nindent 8 }}
      volumeMounts:
        {{- include "guardian.scratchMounts" . | nindent 8 }}
  volumes:
    {{- include "guardian.scratchVolumes" . | nindent 4 }}
    {{- if .Values.crds.upgrade }}
    - name: crds
      configMap:
        name: {{ include "guardian.fullname" . }}-crds
    {{- end }}
{{- end }}
