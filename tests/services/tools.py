"""The tools that check what is deployed: pinned and built as the servers are (see :mod:`tests.services.programs`)."""

from __future__ import annotations

from tests.services.programs import GoModuleFiles, GoProgram, Program, WheelFiles

#: Checks and runs the alerts. Without the clouds that Prometheus itself can look for targets in, which are most of it.
PROMTOOL = GoProgram("promtool", "github.com/prometheus/prometheus/cmd/promtool", "v0.316.0", tags=("remove_all_sd",))
#: Lints and renders the chart. By far the longest build: two minutes on two idle cores.
HELM = GoProgram("helm", "helm.sh/helm/v3/cmd/helm", "v3.18.6")
#: The loader of `docker compose config` on its own, in seconds where the whole plugin takes minutes.
COMPOSE = GoProgram("compose-go", "github.com/compose-spec/compose-go/v2/cmd", "v2.16.2")
#: Lints the workflows.
ACTIONLINT = GoProgram("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12")

#: What Kubernetes takes, as JSON Schemas that allow no unknown field: one file for each kind.
KUBERNETES = WheelFiles(
    "kubernetes-schemas",
    "kubernetes-validate",
    "1.33.1",
    "fd910cff492ea32c85b8733fedd31dd0cf582925d3b3a3e73ceda1876f87bdcb",
    "kubernetes_validate/kubernetes-json-schema/v1.33.0-local-strict",
)
#: What KEDA and Prometheus's operator take, in their own definitions of resources.
KEDA = GoModuleFiles(
    "keda-resources", "github.com/kedacore/keda/v2", "v2.21.0", ("config/crd/bases/keda.sh_scaledjobs.yaml",)
)
PROMETHEUS_OPERATOR = GoModuleFiles(
    "prometheus-operator-resources",
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    ("example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",),
)

TOOLS: tuple[Program, ...] = (PROMTOOL, HELM, COMPOSE, ACTIONLINT, KUBERNETES, KEDA, PROMETHEUS_OPERATOR)
