"""Everywhere: what is shown, logged and traced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "output")


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    live: bool = setting("LFK_LIVE", False, "go on showing how the work goes", parse=forms.flag, flag="--live")
    live_seconds: float = setting("LFK_LIVE_SECONDS", 2.0, "seconds between two looks of that", parse=forms.seconds)
    json: bool = setting("LFK_JSON", False, "one JSON object a line", parse=forms.flag, flag="--json")
    dry_run: bool = setting(
        "LFK_DRY_RUN", False, "say what would be done, change nothing", parse=forms.flag, flag="--dry-run"
    )
    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "OpenTelemetry collector that gets traces over HTTP, such as http://collector:4318; needs lfk[otel]",
    )
    otlp_traces_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "the same with its path, …/v1/traces; wins"
    )
    otlp_headers: Mapping[str, str] = setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        {},
        "headers for the collector, such as authorization=…; separated by commas",
        parse=forms.pairs,
        secret=True,
    )
    service_name: str = setting(
        "OTEL_SERVICE_NAME", "", "what traces call this process; empty means lfk-hub, lfk-sync, …"
    )
    status_serve: bool = setting(
        "LFK_STATUS_SERVE", False, "serve what waits as metrics until stopped", parse=forms.flag, flag="--serve"
    )
    log_level: str = setting(
        "LFK_LOG_LEVEL",
        "",
        "debug, info, warning or error; -v and -q set it too",
        choices=("debug", "info", "warning", "error"),
    )
    log_format: str = setting("LFK_LOG_FORMAT", "text", "how log lines are written", choices=("text", "json"))
