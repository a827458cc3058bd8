"""doctor: every look says how things are and what to do, and one that fails keeps no other away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lfk.brokers.base import TopicPlan
from lfk.brokers.memory import MemoryBroker
from lfk.cli.doctor import ROLES
from lfk.core.errors import AccessDenied, BucketMissing, EngineUnavailable, ExitCode, ModelMissing, StoreUnreachable
from lfk.core.location import parse_location
from lfk.engine.base import Engine, ModelIdentity
from lfk.roles import doctor
from lfk.roles.doctor import Check, Verdict, examine
from lfk.settings import Settings
from lfk.stores.memory import MemoryStore
from lfk.wiring import doctor_looks, topic_plans

RECORDS = parse_location("s3://bucket/.lfk/")
NOW = 1_700_000_000.0


def worst(checks: list[Check]) -> Verdict:
    order = list(Verdict)
    return max((check.verdict for check in checks), key=order.index)


def test_a_look_that_fails_keeps_no_other_away() -> None:
    def refused() -> Iterator[Check]:
        yield Check("first", Verdict.OK, "fine so far")
        raise AccessDenied("not you")

    def away() -> Iterator[Check]:
        raise StoreUnreachable("away")

    checks = list(examine({"store": refused, "clock": away, "last": lambda: [Check("last", Verdict.OK, "fine")]}))
    assert [(check.name, check.verdict.value) for check in checks] == [
        ("first", "ok"),
        ("store", "fail"),
        ("clock", "fail"),
        ("last", "ok"),
    ]
    assert [check.exit_code for check in checks if check.verdict is Verdict.FAIL] == [
        ExitCode.USAGE,
        ExitCode.UNREACHABLE,
    ]
    assert checks[1].hint == AccessDenied.hint


@pytest.mark.parametrize(("skew", "verdict"), [(0.0, Verdict.OK), (-20.0, Verdict.OK), (40.0, Verdict.WARN)])
def test_writing_leaves_nothing_and_compares_clocks(
    skew: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfk.roles.doctor.time.time", lambda: NOW)
    store = MemoryStore(clock=lambda: NOW + skew)
    checks = list(doctor.look_at_writing(store, RECORDS))
    assert worst(checks) is verdict
    assert [check.verdict for check in checks if check.name == "clock"] == [verdict]
    assert list(store.list(parse_location("s3://bucket/"))) == []


def test_a_store_without_conditional_writes_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    lesser = replace(store.capabilities(RECORDS), conditional_writes=False)
    monkeypatch.setattr(store, "capabilities", lambda _prefix: lesser)
    warned = [check for check in doctor.look_at_writing(store, RECORDS) if check.verdict is Verdict.WARN]
    assert any("conditional" in check.text and check.hint for check in warned)


def test_a_place_that_is_missing() -> None:
    with pytest.raises(BucketMissing):
        list(doctor.look_at_place(MemoryStore(buckets=()), RECORDS))


def test_keys_that_may_list_nothing_are_told_from_keys_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    (check,) = doctor.look_at_keys(store, RECORDS)
    assert check.verdict is Verdict.OK

    def refuse(*, lacks_right: bool) -> None:
        def read(*_asked: object, **_bound: object) -> None:
            raise AccessDenied("not you", lacks_right=lacks_right)

        monkeypatch.setattr(store, "read", read)

    refuse(lacks_right=True)
    (check,) = doctor.look_at_keys(store, RECORDS)
    assert check.verdict is Verdict.OK
    refuse(lacks_right=False)
    with pytest.raises(AccessDenied):
        list(doctor.look_at_keys(store, RECORDS))


def test_topics_that_are_missing_fail_and_topics_that_are_poor_warn() -> None:
    broker = MemoryBroker()
    plans = topic_plans(Settings())

    def looked(broker: MemoryBroker, workers: int) -> list[Check]:
        states = broker.describe([plan.name for plan in plans])
        return list(doctor.look_at_topics(states, plans, workers, [plans[0].name]))

    checks = looked(broker, 1)
    assert [check.verdict for check in checks].count(Verdict.FAIL) == len(plans)
    assert "lfk init" in checks[0].hint
    assert {check.verdict for check in checks} == {Verdict.FAIL}, "none of them is fine"

    broker.ensure_topics(plans)
    assert worst(looked(broker, 3)) is Verdict.OK
    assert worst(looked(broker, 4)) is Verdict.WARN

    other = MemoryBroker()
    other.ensure_topics([TopicPlan(plan.name, 12, 0, {"retention.ms": "1000"}) for plan in plans])
    assert worst(looked(other, 1)) is Verdict.WARN
    # Who may not ask how topics are set still sees which there are.
    counted = doctor.partitions_of(other, [*plans, TopicPlan("nowhere", 1, 0, {})])
    assert {name: state.partitions for name, state in counted.items()} == {plan.name: 12 for plan in plans}
    assert worst(list(doctor.look_at_topics(counted, plans, 1, [plans[0].name]))) is Verdict.OK


def test_a_role_is_looked_at_for_what_its_keys_reach() -> None:
    settings = Settings(store="store")
    every = doctor_looks(settings)
    assert set(doctor_looks(settings, "hub")) == {*every} - {"listen"}
    assert set(doctor_looks(settings, "producer")) == {"settings", "audio", "forgotten", "tombstones", "broker"}
    assert set(doctor_looks(settings, "gateway")) == {"settings", "audio", "forgotten", "broker", "scratch"}
    assert "listen" in doctor_looks(settings, "listen")
    assert set(doctor_looks(settings, "consumer")) == {"settings", "keys", "broker"}
    reading, changing = (set(doctor_looks(one, "web")) for one in (settings, replace(settings, web_token="x" * 16)))
    assert changing - reading == {"tombstones", "forgotten", "scratch"}
    assert all(doctor_looks(settings, role) for role in ROLES)


@pytest.mark.parametrize(("transactional", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN)])
def test_transactions(transactional: bool, verdict: Verdict) -> None:
    broker = MemoryBroker(transactional=transactional)
    assert worst(list(doctor.look_at_transactions(broker, "lfk-check"))) is verdict
    assert worst(list(doctor.look_at_broker(broker))) is Verdict.OK


class Kind:
    """An engine that has the weights of some models."""

    name = "kind"

    def __init__(self, *models: str, installed: bool = True) -> None:
        self._models = models
        self._installed = installed

    def identify(self, model: str) -> ModelIdentity:
        if not self._installed:
            raise EngineUnavailable("not installed")
        if model not in self._models:
            raise ModelMissing(f"{model} is nowhere")
        return ModelIdentity(model, "r1")

    def start(self) -> Engine:
        raise AssertionError("a look starts no engine")


def test_the_default_model_or_what_serves_it() -> None:
    (check,) = doctor.look_at_engine(Kind("tiny"), "tiny", None)
    assert check.text == "tiny, revision r1"
    (check,) = doctor.look_at_engine(Kind("tiny.en"), "tiny", "tiny.en")
    assert "tiny is served by tiny.en" in check.text
    checks = list(
        examine(
            {
                "model": lambda: doctor.look_at_engine(Kind(), "tiny", None),
                "served": lambda: doctor.look_at_engine(Kind(), "tiny", "tiny.en"),
                "engine": lambda: doctor.look_at_engine(Kind(installed=False), "tiny", None),
            }
        )
    )
    assert [check.verdict for check in checks] == [Verdict.FAIL] * 3
    assert all(check.hint for check in checks)


@pytest.mark.parametrize(("at_hand", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN)])
def test_voices_that_cannot_be_told_apart_are_no_failure(at_hand: bool, verdict: Verdict) -> None:
    (check,) = doctor.look_for_voices(at_hand)
    assert check.verdict is verdict
    assert bool(check.hint) is not at_hand


def test_a_package_is_looked_for_and_not_imported() -> None:
    (there,) = doctor.look_for_module("this", "hub")
    (absent,) = doctor.look_for_module("no_such_package_of_lfk", "hub")
    assert (there.verdict, absent.verdict) == (Verdict.OK, Verdict.WARN)
    assert "lfk[hub]" in absent.hint


@pytest.mark.parametrize(
    ("wanted", "device", "verdict"),
    [("auto", "", Verdict.OK), ("cpu", "", Verdict.OK), ("cuda", "", Verdict.FAIL), ("auto", "nvidia0", Verdict.WARN)],
)
def test_what_engines_can_compute_on(
    wanted: str, device: str, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if device:
        (tmp_path / device).touch()
    assert [check.verdict for check in doctor.look_for_gpu(wanted, tmp_path)] == [verdict]


def test_a_gpu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: Some Card'\n")
    program.chmod(0o755)
    assert [check.text for check in doctor.look_for_gpu("cuda", tmp_path)] == ["GPU 0: Some Card"]


def test_scratch(tmp_path: Path) -> None:
    (plenty,) = doctor.look_at_scratch(tmp_path / "new", 0)
    (little,) = doctor.look_at_scratch(tmp_path, 1 << 60)
    (tmp_path / "file").touch()
    (none,) = doctor.look_at_scratch(tmp_path / "file", 0)
    assert little.verdict is Verdict.WARN
    assert none.verdict is Verdict.FAIL
    assert plenty.verdict in (Verdict.OK, Verdict.WARN)
    assert all("scratch" in check.name for check in (plenty, little, none))
