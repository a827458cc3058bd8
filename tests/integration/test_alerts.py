"""The alerts, run by Prometheus' own tool, and the dashboard's form."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.services.programs import GoProgram
from tests.services.tools import PROMTOOL

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
TESTS = ALERTS.with_name("alerts_test.yml")


@pytest.mark.parametrize("arguments", [("check", "rules", "--lint=all", str(ALERTS)), ("test", "rules", str(TESTS))])
def test_promtool_finds_nothing_to_say(tool: Callable[[GoProgram], str], arguments: tuple[str, ...]) -> None:
    done = subprocess.run([tool(PROMTOOL), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_is_seen_to_fire_and_to_be_still() -> None:
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    cases = [
        case for test in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"] for case in test["alert_rule_test"]
    ]
    named = {rule["alert"] for group in rules for rule in group["rules"]}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == named
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == named


def test_the_dashboard_can_be_imported_anywhere() -> None:
    board = json.loads((DEPLOY / "grafana" / "lfk.json").read_text(encoding="utf-8"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource"]
    identities = [panel["id"] for panel in board["panels"]]
    assert len(identities) == len(set(identities))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
