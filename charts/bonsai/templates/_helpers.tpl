{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}

{{- define "bonsai.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "bonsai.selectorLabels" -}}
app.kubernetes.io/name: bonsai
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bonsai.labels" -}}
{{ include "bonsai.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "bonsai.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- /* The port in config.metrics-address, for probes and annotations. */ -}}
{{- define "bonsai.metricsPort" -}}
{{ index .Values.config "metrics-address" | splitList ":" | last }}
{{- end -}}

{{- /* A setting as the agent reads it: lists joined, whole numbers without an exponent. */ -}}
{{- define "bonsai.setting" -}}
{{- if kindIs "slice" . -}}
{{ join "," . }}
{{- else if kindIs "float64" . -}}
{{ int64 . }}
{{- else -}}
{{ toString . }}
{{- end -}}
{{- end -}}
