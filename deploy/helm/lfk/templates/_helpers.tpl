{{/* Names and labels */}}
{{- define "lfk.name" -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* dict root, role: what finds the pods of one role */}}
{{- define "lfk.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "lfk.labels" -}}
{{ include "lfk.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* dict root, variant */}}
{{- define "lfk.image" -}}
{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}-{{ .variant }}
{{- end }}

{{/* The environment that every role has. Secrets are files; what is no secret (user name, access key) is a value. */}}
{{- define "lfk.environment" -}}
{{- $v := .root.Values }}
{{- $env := dict "LFK_STORE" $v.store.uri "BOOTSTRAP_SERVERS" (required "kafka.bootstrapServers is needed" $v.kafka.bootstrapServers) "LFK_LOG_FORMAT" "json" }}
{{- with $v.store.endpoint }}{{- $_ := set $env "AWS_ENDPOINT_URL_S3" . }}{{ end }}
{{- with $v.store.region }}{{- $_ := set $env "AWS_REGION" . }}{{ end }}
{{- if $v.store.secret }}{{- $_ := set $env "AWS_SECRET_ACCESS_KEY_FILE" "/etc/lfk/secrets/AWS_SECRET_ACCESS_KEY" }}{{ end }}
{{- if $v.kafka.saslSecret }}{{- $_ := set $env "API_SECRET_FILE" "/etc/lfk/secrets/API_SECRET" }}{{ end }}
{{- if $v.kafka.tlsSecret }}
{{- if not $v.kafka.saslSecret }}{{- $_ := set $env "LFK_KAFKA_SECURITY_PROTOCOL" "SSL" }}{{ end }}
{{- $_ := set $env "LFK_KAFKA_SSL_CA_LOCATION" "/etc/lfk/kafka-tls/ca.crt" }}
{{- if $v.kafka.mutualTls }}
{{- $_ := set $env "LFK_KAFKA_SSL_CERTIFICATE_LOCATION" "/etc/lfk/kafka-tls/tls.crt" }}
{{- $_ := set $env "LFK_KAFKA_SSL_KEY_LOCATION" "/etc/lfk/kafka-tls/tls.key" }}
{{- end }}
{{- end }}
{{- range $name, $value := $v.kafka.settings }}{{- $_ := set $env (printf "LFK_KAFKA_%s" ($name | replace "." "_" | upper)) ($value | toString) }}{{ end }}
{{- with $v.registry.url }}{{- $_ := set $env "SCHEMA_REGISTRY_URL" . }}{{- $_ := set $env "SCHEMA_TYPE" $v.registry.schemaType }}{{ end }}
{{- if $v.registry.secret }}{{- $_ := set $env "SCHEMA_REGISTRY_SECRET_FILE" "/etc/lfk/secrets/SCHEMA_REGISTRY_SECRET" }}{{ end }}
{{- range $v.secretSettings }}{{- $_ := set $env (printf "%s_FILE" .name) (printf "/etc/lfk/secrets/%s" .name) }}{{ end }}
{{- range $name, $value := .own }}{{- $_ := set $env $name ($value | toString) }}{{ end }}
{{- range $name, $value := $v.settings }}{{- $_ := set $env $name ($value | toString) }}{{ end }}
{{- range $name, $value := .values.settings }}{{- $_ := set $env $name ($value | toString) }}{{ end }}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- if $v.store.secret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $v.store.secret }}, key: {{ $v.store.accessKeyField }}}}
{{- end }}
{{- if $v.kafka.saslSecret }}
- name: API_KEY
  valueFrom: {secretKeyRef: {name: {{ $v.kafka.saslSecret }}, key: {{ $v.kafka.usernameField }}}}
{{- end }}
{{- if $v.registry.secret }}
- name: SCHEMA_REGISTRY_KEY
  valueFrom: {secretKeyRef: {name: {{ $v.registry.secret }}, key: {{ $v.registry.keyField }}}}
{{- end }}
{{- end }}

{{/* Secrets as files: [secret, field, name of the setting], the role's own ones included. */}}
{{- define "lfk.secretFiles" -}}
{{- $v := .root.Values }}
{{- if $v.store.secret }}
- secret: {name: {{ $v.store.secret }}, items: [{key: {{ $v.store.secretKeyField }}, path: AWS_SECRET_ACCESS_KEY}]}
{{- end }}
{{- if $v.kafka.saslSecret }}
- secret: {name: {{ $v.kafka.saslSecret }}, items: [{key: {{ $v.kafka.passwordField }}, path: API_SECRET}]}
{{- end }}
{{- if $v.registry.secret }}
- secret: {name: {{ $v.registry.secret }}, items: [{key: {{ $v.registry.secretField }}, path: SCHEMA_REGISTRY_SECRET}]}
{{- end }}
{{- range concat $v.secretSettings (.secrets | default list) }}
- secret: {name: {{ .secret }}, items: [{key: {{ .field }}, path: {{ .name }}}]}
{{- end }}
{{- end }}

{{/*
The pod of a role. dict
  root, role, values   the chart, the role's name, its values
  variant, args        image and command line
  own                  environment of the role
  serves               port that answers /healthz and `ready` (/readyz), by the name `door` (health); or nothing
  ports                further ones (list of name, port)
  mounts, volumes      beside /tmp and /var/lib/lfk (lists)
  secrets              its own secrets as files
  grace                seconds that it gets to end
  restart              restartPolicy, where it is not Always
*/}}
{{- define "lfk.pod" -}}
{{- $secrets := include "lfk.secretFiles" . | trim }}
{{- $tls := .root.Values.kafka.tlsSecret }}
serviceAccountName: {{ include "lfk.name" .root }}-{{ .account | default .role }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .restart }}
restartPolicy: {{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ .grace | default 30 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (.values.tolerations | default list) (.tolerations | default list) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .values.topologySpread }}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "lfk.selector" (dict "root" $.root "role" $.role) | nindent 8 }}
{{- end }}
{{- end }}
containers:
  - name: {{ .role }}
    image: {{ include "lfk.image" (dict "root" .root "variant" .variant) }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{- range .args }}
      - {{ . | quote }}
{{- end }}
    env: {{- include "lfk.environment" . | trim | nindent 6 }}
{{- if .serves }}
    ports:
      - name: {{ .door | default "health" }}
        containerPort: {{ .serves }}
{{- range .ports }}
      - name: {{ .name }}
        containerPort: {{ .port }}
{{- end }}
    # A role in trouble is alive and not ready: it heals by itself, and ending it would help nobody.
    livenessProbe:
      httpGet: {path: /healthz, port: {{ .door | default "health" }}}
      periodSeconds: 15
      timeoutSeconds: 5
      failureThreshold: 4
    readinessProbe:
      httpGet: {path: {{ .ready | default "/readyz" }}, port: {{ .door | default "health" }}}
      periodSeconds: 10
      timeoutSeconds: 5
{{- end }}
{{- with .lifecycle }}
    lifecycle: {{- toYaml . | nindent 6 }}
{{- end }}
    resources: {{- toYaml (.resources | default .values.resources) | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: home, mountPath: /var/lib/lfk}
{{- if $secrets }}
      - {name: secrets, mountPath: /etc/lfk/secrets, readOnly: true}
{{- end }}
{{- if $tls }}
      - {name: kafka-tls, mountPath: /etc/lfk/kafka-tls, readOnly: true}
{{- end }}
{{- with .mounts }}
{{- toYaml . | nindent 6 }}
{{- end }}
volumes:
  - {name: tmp, emptyDir: {sizeLimit: {{ .tmp | default "512Mi" }}}}
  - {name: home, emptyDir: {sizeLimit: {{ .home | default "512Mi" }}}}
{{- if $secrets }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources: {{- $secrets | nindent 8 }}
{{- end }}
{{- if $tls }}
  - {name: kafka-tls, secret: {secretName: {{ $tls }}, defaultMode: 0440}}
{{- end }}
{{- with .volumes }}
{{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A Deployment around lfk.pod; dict as there, with replicas and strategy. */}}
{{- define "lfk.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "lfk.name" .root }}-{{ .role }}
  labels: {{- include "lfk.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas | default 1 | int }}
  revisionHistoryLimit: 3
  strategy: {{- toYaml (.strategy | default (dict "type" "Recreate")) | nindent 4 }}
  selector:
    matchLabels: {{- include "lfk.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "lfk.labels" . | nindent 8 }}
{{- with .values.podLabels }}
{{- toYaml . | nindent 8 }}
{{- end }}
{{- with .values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
{{- end }}
    spec: {{- include "lfk.pod" . | trim | nindent 6 }}
{{- end }}

{{/* What both kinds of hub have in common: dict root, role, args → dict for lfk.pod, as YAML. */}}
{{- define "lfk.hub" -}}
{{- $hub := .root.Values.hub }}
{{- $own := dict "LFK_HEALTH" ":8080" "LFK_GRACE" $hub.graceSeconds "LFK_MODELS_FOLDER" "/var/lib/lfk/models" "MAIN_NODE_TEMP_FOLDER" "/var/lib/lfk/scratch" "LFK_SCRATCH_BYTES" $hub.scratch.bytes "LFK_DEVICE" (ternary "cuda" "cpu" $hub.gpu.enabled) }}
{{- $resources := deepCopy $hub.resources }}
{{- $tolerations := list }}
{{- if $hub.gpu.enabled }}
{{- $_ := set $resources "limits" (merge (dict $hub.gpu.resource (toString $hub.gpu.count)) ($resources.limits | default dict)) }}
{{- $tolerations = list (dict "key" $hub.gpu.resource "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- $models := dict "name" "models" "emptyDir" (dict "sizeLimit" $hub.modelCache.sizeLimit) }}
{{- $claim := $hub.modelCache.existingClaim }}
{{- if $hub.modelCache.create }}{{- $claim = printf "%s-models" (include "lfk.name" .root) }}{{ end }}
{{- if $claim }}{{- $models = dict "name" "models" "persistentVolumeClaim" (dict "claimName" $claim) }}{{ end }}
{{- $scratch := dict "name" "scratch" "emptyDir" (dict "sizeLimit" $hub.scratch.sizeLimit) }}
{{- dict
  "variant" (ternary "hub-cuda" "hub-cpu" $hub.gpu.enabled)
  "own" $own
  "resources" $resources
  "tolerations" $tolerations
  "runtimeClassName" (ternary $hub.gpu.runtimeClassName "" $hub.gpu.enabled)
  "serves" 8080
  "grace" (add $hub.graceSeconds 60)
  "tmp" "2Gi"
  "mounts" (list (dict "name" "models" "mountPath" "/var/lib/lfk/models") (dict "name" "scratch" "mountPath" "/var/lib/lfk/scratch"))
  "volumes" (list $models $scratch)
  | toYaml }}
{{- end }}
