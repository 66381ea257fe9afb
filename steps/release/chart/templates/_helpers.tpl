{{/* The labels of every object of a component: (dict "root" $ "component" "web"). */}}
{{- define "shop.labels" -}}
{{ include "shop.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* The labels that a selector may use: they never change. */}}
{{- define "shop.selector" -}}
app.kubernetes.io/name: {{ .root.Values.name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "shop.image" -}}
{{ .repository }}:{{ .tag }}
{{- end }}

{{/* A pod of this chart: no token of the cluster, no privilege, and no variables made from Services (they would read as the shop's own). */}}
{{- define "shop.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- end }}

{{- define "shop.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The user that a pod runs as: 33 is www-data in the web image and on the assets; the others own nothing in theirs. */}}
{{- define "shop.user" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The environment of PHP, in web, worker and cron alike: the secrets; the rest is in shop.ini. */}}
{{- define "shop.php.env" -}}
- {name: SHOP_CONFIG, value: /etc/shop/shop.ini}
- {name: SHOP_DATABASE_USER, valueFrom: {secretKeyRef: {name: {{ .Values.database.existingSecret }}, key: username}}}
- {name: SHOP_DATABASE_PASSWORD, valueFrom: {secretKeyRef: {name: {{ .Values.database.existingSecret }}, key: password}}}
- {name: SHOP_CACHE_PASSWORD, valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: password}}}
- {name: SHOP_SESSIONS_PASSWORD, valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: password}}}
- {name: SHOP_QUEUE_USER, valueFrom: {secretKeyRef: {name: {{ .Values.rabbitmq.existingSecret }}, key: username}}}
- {name: SHOP_QUEUE_PASSWORD, valueFrom: {secretKeyRef: {name: {{ .Values.rabbitmq.existingSecret }}, key: password}}}
{{- end }}

{{- define "shop.php.mounts" -}}
- {name: config, mountPath: /etc/shop, readOnly: true}
- {name: database-ca, mountPath: /run/secrets/database, readOnly: true}
- {name: assets, mountPath: /srv/assets}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "shop.php.volumes" -}}
- name: config
  configMap:
    name: {{ .Values.name }}-web
- name: database-ca
  secret:
    secretName: {{ .Values.database.existingSecret }}
    defaultMode: 0444
    items: [{key: ca.pem, path: ca.pem}]
- name: assets
  persistentVolumeClaim:
    claimName: {{ .Values.assets.existingClaim }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end }}

{{/* Gives the pod the server's name where no DNS has it. */}}
{{- define "shop.php.hosts" -}}
{{- with .Values.database.address }}
hostAliases:
  - {ip: {{ . | quote }}, hostnames: [{{ $.Values.database.host | quote }}]}
{{- end }}
{{- end }}
