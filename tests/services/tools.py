"""The tools that check what is deployed: pinned and built as the servers are (see :mod:`tests.services.programs`)."""

from __future__ import annotations

from tests.services.programs import GoProgram

#: Checks and runs the alerts. Without the clouds that Prometheus itself can look for targets in, which are most of it.
PROMTOOL = GoProgram("promtool", "github.com/prometheus/prometheus/cmd/promtool", "v0.316.0", tags=("remove_all_sd",))
#: Lints and renders the chart. By far the longest build: two minutes on two idle cores.
HELM = GoProgram("helm", "helm.sh/helm/v3/cmd/helm", "v3.18.6")
#: The loader of `docker compose config` on its own, in seconds where the whole plugin takes minutes.
COMPOSE = GoProgram("compose-go", "github.com/compose-spec/compose-go/v2/cmd", "v2.16.2")
#: Lints the workflows.
ACTIONLINT = GoProgram("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12")

TOOLS = (PROMTOOL, HELM, COMPOSE, ACTIONLINT)
