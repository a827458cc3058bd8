"""Log lines: which job they are about, and what hostile names and secrets come to in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.cli.logs import _Json, _Text, set_up
from lfk.roles.at_work import at_work
from lfk.roles.parallel import in_parallel
from lfk.settings import Settings, secrets

log = logging.getLogger("lfk.test")


@dataclass
class Work:
    event_id: str = "e" * 64
    job_id: str | None = None


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_says_which_job_its_thread_is_at(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    job = Work()
    log.info("before")
    with at_work(job):
        log.info("begun")
        job.job_id = "j" * 64
        list(in_parallel(lambda name: log.warning("%s is kept", name), ["a.txt"]))
        log.info("of another one", extra={"event_id": "other", "job_id": None})
    told = lines(capsys)
    assert [(one["message"], one.get("event_id"), one.get("job_id")) for one in told] == [
        ("before", None, None),
        ("begun", job.event_id, None),
        ("a.txt is kept", job.event_id, job.job_id),
        ("of another one", "other", None),
    ]
    assert [one["level"] for one in told] == ["info", "info", "warning", "info"]
    assert {one["logger"] for one in told} == {"lfk.test"}
    assert all(one["time"].endswith("+00:00") for one in told)


def test_text_for_people_says_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text")
    with at_work(Work(job_id="j1")):
        log.info("kept")
    assert "kept job_id=j1 event_id=eee" in capsys.readouterr().err


@given(st.text(max_size=200))
def test_no_name_forges_a_line_or_reaches_the_terminal(name: str) -> None:
    record = logging.LogRecord("lfk", logging.WARNING, __file__, 1, "%s is passed over", (name,), None)
    line = _Json(()).format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"{name} is passed over"
    assert "\n" not in _Text(()).format(record)


def test_secrets_are_masked_wherever_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    collector = "https://somebody:s3cr3t-word@collector:4318"
    settings = Settings(
        secret_key="s3cr3t-key",
        otlp_endpoint=collector,
        kafka={"sasl.password": "pa\x1bss word", "client.id": "public-name"},
    )
    for form in ("json", "text"):
        set_up("info", form, secrets(settings))
        try:
            raise ValueError(f"refused {settings.kafka['sasl.password']}")
        except ValueError:
            log.exception("signed with %s as %s", "s3cr3t-key", "public-name")
        log.warning("%s does not take them", collector)
        told = capsys.readouterr().err
        assert "s3cr3t" not in told
        assert "ss word" not in told
        assert "\x1b" not in told
        assert "signed with **** as public-name" in told
        assert "refused ****" in told


def test_long_texts_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    log.info("x" * 100_000)
    assert len(lines(capsys)[0]["message"]) == 4000
