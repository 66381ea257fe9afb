{{- define "pair.labels" -}}
app: pair
{{- end -}}
