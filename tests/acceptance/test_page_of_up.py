"""The page of a single-machine service: one address for hub, sync and what waits; and what is refused there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.command import Lfk
from tests.acceptance.test_observability import Scrape, ask
from tests.acceptance.test_pipeline import make_recordings
from tests.services.process import free_ports
from tests.waiting import wait_until


def test_up_tells_of_all_its_roles_at_one_address(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned", LFK_BACKLOG_INTERVAL="0.5")
    make_recordings(tmp_path / "recordings", 2)
    (port,) = free_ports(1)

    def look() -> Scrape:
        return Scrape(ask(port, "/metrics")[1])

    with lfk.running("up", "recordings", "--health", f"127.0.0.1:{port}"):
        wait_until(lambda: look().sum("lfk_hub_jobs_total", outcome="done") == 2, "nothing is transcribed")
        wait_until(lambda: ask(port, "/readyz")[0] == 200, "it never gets ready")
        wait_until(lambda: look().sum("lfk_backlog_looked_timestamp_seconds") > 0, "what waits is not measured")
        page = look()
        assert page.sum("lfk_sync_files_total", outcome="new") == 2
        assert page.sum("lfk_ready") == 2
        told = json.loads(ask(port, "/readyz")[1])
        assert (told["hub"]["status"], told["sync"]["status"]) == ("ready", "ready")
        # A second process at the same address says what is wrong, and a single look is no service.
        taken = lfk("hub", "--health", f"127.0.0.1:{port}")
        assert (taken.code, "LFK_HEALTH" in taken.err) == (2, True)
        lfk.environ = {**lfk.environ, "LFK_HEALTH": f"127.0.0.1:{port}"}
        assert lfk("transcripts").code == lfk("status").code == lfk("sync", "recordings").code == 0


def test_what_waits_is_served_only_where_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    lfk = Lfk(tmp_path, LFK_STORE="store")
    unaddressed = lfk("status", "--serve")
    assert (unaddressed.code, "LFK_HEALTH" in unaddressed.err) == (2, True)
    (port,) = free_ports(1)
    nowhere = lfk("status", "--serve", "--health", f"127.0.0.1:{port}")
    assert (nowhere.code, "broker_unreachable" in nowhere.err) == (3, True)
