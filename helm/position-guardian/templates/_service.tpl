{{/* A component's Service: (list $ "receiver" 8888) */}}
{{- define "guardian.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "guardian.componentName" . }}
  labels:
    {{- include "guardian.componentLabels" . | nindent 4 }}
spec:
  type: ClusterIP
  ipFamilyPolicy: PreferDualStack
  selector:
    {{- include "guardian.componentSelector" . | nindent 4 }}
  ports:
    - name: http
      port: {{ index . 2 }}
      targetPort: http
{{- end }}
