"""The tools that check what is deployed: pinned and built as the servers are (see :mod:`tests.services.programs`)."""

from __future__ import annotations

from tests.services.programs import GoProgram

#: Checks and runs the alerts. Without the clouds that Prometheus itself can look for targets in, which are most of it.
PROMTOOL = GoProgram("promtool", "github.com/prometheus/prometheus/cmd/promtool", "v0.316.0", tags=("remove_all_sd",))

TOOLS = (PROMTOOL,)
