"""init: what is missing is made, what is there is left alone and looked at, one failure keeps nothing else away."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfk.brokers.base import TopicPlan, TopicState
from lfk.brokers.memory import MemoryBroker
from lfk.core.errors import AccessDenied, BrokerDenied, StoreUnreachable
from lfk.core.location import Location, parse_location
from lfk.roles.admin import Step, make_places, make_topics, topic_faults
from lfk.settings import Settings
from lfk.stores.memory import MemoryStore
from lfk.wiring import topic_plans

KEEP = {"retention.ms": "-1", "retention.bytes": "-1"}
WEEK = {"retention.ms": "604800000"}


@pytest.mark.parametrize(
    ("config", "state", "fault"),
    [
        (KEEP, TopicState(12, {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}), ""),
        (KEEP, TopicState(24, KEEP), ""),
        # A broker that tells no configuration gives no reason to complain.
        (KEEP, TopicState(12, {}), ""),
        (KEEP, TopicState(4, KEEP), "4 partitions instead of 12"),
        (KEEP, TopicState(12, {"retention.ms": "604800000"}), "retention.ms=604800000 instead of -1"),
        (KEEP, TopicState(12, {**KEEP, "retention.bytes": "1000"}), "nobody has read yet are dropped"),
        (KEEP, TopicState(12, {**KEEP, "cleanup.policy": "compact"}), "cleanup.policy=compact"),
        (WEEK, TopicState(12, {"retention.ms": "3600000"}), ""),
        (WEEK, TopicState(12, {"retention.ms": "-1"}), "kept for ever"),
        ({"max.message.bytes": "4000"}, TopicState(12, {"max.message.bytes": "5000"}), ""),
        ({"max.message.bytes": "4000"}, TopicState(12, {"max.message.bytes": "3999"}), "larger messages are refused"),
    ],
)
def test_what_is_wrong_with_a_topic(config: dict[str, str], state: TopicState, fault: str) -> None:
    faults = topic_faults(TopicPlan("lfk.audio", 12, 0, config), state)
    assert len(faults) == bool(fault)
    assert fault in "".join(faults)


def test_topics_are_made_once() -> None:
    broker = MemoryBroker()
    plans = topic_plans(Settings())
    assert {step.name for step in make_topics(broker, plans, dry_run=True) if step.made} == {p.name for p in plans}
    assert broker.partitions("lfk.audio") == 0
    assert all(step.made for step in make_topics(broker, plans, dry_run=False))
    again = list(make_topics(broker, plans, dry_run=False))
    assert again == [Step("topic", plan.name) for plan in plans]


def test_references_nobody_has_read_are_kept_and_the_rest_is_not_for_ever() -> None:
    configs = {plan.name: plan.config for plan in topic_plans(Settings())}
    for name in ("lfk.audio", "lfk.audio.bulk", "lfk.audio.retry", "lfk.audio.dlq"):
        assert configs[name]["retention.ms"] == configs[name]["retention.bytes"] == "-1"
    for name in ("lfk.chunks", "lfk.transcripts"):
        assert int(configs[name]["retention.ms"]) > 0
    assert int(configs["lfk.audio.dlq"]["max.message.bytes"]) > Settings().max_message_size


def test_a_topic_that_was_made_otherwise_is_pointed_out() -> None:
    broker = MemoryBroker()
    broker.ensure_topics([TopicPlan("lfk.audio", 1, 0, {"retention.ms": "1000"})])
    (step,) = make_topics(broker, topic_plans(Settings())[:1], dry_run=False)
    assert not step.made
    assert len(step.faults) == 2


def test_a_broker_that_is_away_is_asked_once() -> None:
    broker = MemoryBroker()
    broker.reachable = False
    (step,) = make_topics(broker, topic_plans(Settings()), dry_run=False)
    assert step.error is not None
    assert step.error.code == "broker_unreachable"


def test_one_topic_that_may_not_be_made_keeps_no_other_away(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MemoryBroker()
    make = broker.ensure_topics

    def refuse(wanted: list[TopicPlan]) -> object:
        if wanted[0].name == "lfk.audio.bulk":
            raise BrokerDenied("not you")
        return make(wanted)

    monkeypatch.setattr(broker, "ensure_topics", refuse)
    steps = list(make_topics(broker, topic_plans(Settings()), dry_run=False))
    assert [step.name for step in steps if step.error] == ["lfk.audio.bulk"]
    assert sum(step.made for step in steps) == len(steps) - 1


def test_places_are_made_once() -> None:
    places = [parse_location("s3://one/lfk/"), parse_location("s3://two/"), parse_location("s3://one/lfk/")]
    store = MemoryStore(buckets=())
    assert [(step.name, step.made) for step in make_places(store, places, dry_run=True)] == [
        ("s3://one/lfk/", True),
        ("s3://two/", True),
    ]
    assert all(step.made for step in make_places(store, places, dry_run=False))
    assert not any(step.made for step in make_places(store, places, dry_run=False))
    assert not any(step.made for step in make_places(store, places, dry_run=True))


@pytest.mark.parametrize(("error", "asked"), [(AccessDenied("not you"), 2), (StoreUnreachable("away"), 1)])
def test_a_place_that_cannot_be_made(error: Exception, asked: int) -> None:
    def refuse(method: str, location: Location) -> None:
        raise error

    places = [parse_location("s3://one/"), parse_location("s3://two/")]
    steps = list(make_places(MemoryStore(on_call=refuse), places, dry_run=False))
    assert [step.error for step in steps] == [error] * asked


def test_the_doctor_masks_every_secret_and_names_every_source() -> None:
    from lfk.environment import load
    from lfk.settings import specs
    from lfk.wiring import shown_settings

    # Either a word or a list of pairs: each takes what it can.
    secrets = {
        spec.env: "hush-hush" if spec.parse is str else "name=hush-hush" for spec in specs().values() if spec.secret
    }
    environ = {
        **secrets,
        "LFK_KAFKA_SASL_PASSWORD": "hush-hush",
        "LFK_KAFKA_SSL_KEY_PEM": "hush-hush",
        "LFK_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET": "hush-hush",
        "LFK_KAFKA_SASL_OAUTHBEARER_CONFIG": "hush-hush",
        "SCHEMA_REGISTRY_URL": "https://user:hush-hush@registry:8081/x",
        "LFK_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "LFK_GROUP": "mine",
    }
    shown = {one.name: one for one in shown_settings(load(environ=environ, env_file=Path("absent")))}
    assert not [one for one in shown.values() if "hush" in one.value]
    assert shown["SCHEMA_REGISTRY_URL"].value == "https://****@registry:8081/x"
    assert shown["LFK_KAFKA_SESSION_TIMEOUT_MS"].value == "6000"
    assert (shown["LFK_GROUP"].value, shown["LFK_GROUP"].source) == ("mine", "environment")
    assert (shown["LFK_STORE"].value, shown["LFK_STORE"].source) == ("lfk-data", "default")
    assert set(shown) >= {spec.env for spec in specs().values()}
