{{/* What every pod of ours has alike. */}}

{{- define "guardian.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "guardian.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "guardian.scratchMounts" -}}
- name: tmp
  mountPath: /tmp
- name: home
  mountPath: /data
{{- end }}

{{- define "guardian.scratchVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
- name: home
  emptyDir:
    sizeLimit: 64Mi
{{- end }}

{{/* Fields of a container of ours that do not depend on what it runs. */}}
{{- define "guardian.container" -}}
image: {{ include "guardian.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "guardian.containerSecurity" . | nindent 2 }}
{{- end }}

{{/* Nothing starts before the schema is there: the migration Job brings it. */}}
{{- define "guardian.waitForSchema" -}}
- name: wait-for-schema
  {{- include "guardian.container" . | nindent 2 }}
  command: [guardian, db, wait]
  args: ["--timeout", "600"]
  env:
    {{- include "guardian.databaseEnvironment" . | trim | nindent 4 }}
  resources:
    {{- toYaml .Values.migration.resources | nindent 4 }}
  volumeMounts:
    {{- include "guardian.scratchMounts" . | nindent 4 }}
{{- end }}

{{/* Where a component's pods go: (list $ "receiver") */}}
{{- define "guardian.placement" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with default $root.Values.nodeSelector $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $root.Values.affinity $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
# A dead node's pods are made anew elsewhere after this, not after the usual five minutes.
tolerations:
  - key: node.kubernetes.io/not-ready
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ $root.Values.nodeFailureTolerationSeconds }}
  - key: node.kubernetes.io/unreachable
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ $root.Values.nodeFailureTolerationSeconds }}
  {{- with $root.Values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "guardian.componentSelector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{- define "guardian.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Liveness and readiness on a port named `http`. */}}
{{- define "guardian.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* Head of a component's Deployment up to the pod's spec: (list $ "receiver") */}}
{{- define "guardian.deploymentHead" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index $root.Values $component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "guardian.componentName" . }}
  labels:
    {{- include "guardian.componentLabels" . | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate:
      # The new pod is ready before an old one goes: there is always somebody to guard.
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "guardian.componentSelector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "guardian.componentLabels" . | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # Raised by whoever changed the content of the Secret: it needs other pods.
        guardian.trading/auth-revision: {{ $root.Values.auth.revision | quote }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}

{{/* First fields of a component's pod: (list $ "receiver") */}}
{{- define "guardian.podHead" -}}
{{- $root := index . 0 -}}
{{- include "guardian.pullSecrets" $root }}
serviceAccountName: {{ include "guardian.componentName" . }}
# A Service named guardian-… would put variables into the environment that look like settings.
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext:
  {{- include "guardian.podSecurity" $root | nindent 2 }}
{{- include "guardian.placement" . }}
initContainers:
  {{- include "guardian.waitForSchema" $root | nindent 2 }}
{{- end }}
