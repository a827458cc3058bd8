"""``lfk init`` and ``lfk doctor`` from outside, on a folder and on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfk.brokers.base import TopicPlan
from lfk.brokers.kafka import KafkaBroker
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.services.s3 import S3Server


@pytest.fixture
def local(tmp_path: Path) -> Lfk:
    return Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")


def test_init_makes_folders_once(local: Lfk) -> None:
    wanted = expect_ok(local("init", "--source", "recordings", "--dry-run", "--json"))
    assert wanted.of("summary") == [{"event": "summary", "made": 18, "failed": 0, "dry_run": True}]
    assert list(local.folder.iterdir()) == []
    made = expect_ok(local("init", "--source", "recordings"))
    assert (local.folder / "store" / "audio").is_dir()
    assert (local.folder / "recordings" / "diarisation" / "large").is_dir()
    assert "18 made, 0 failed" in made.out
    again = expect_ok(local("init", "--source", "recordings", "--json"))
    assert [step for step in again.of("step") if step["made"]] == []
    assert len(again.of("step")) == 18


def test_init_takes_source_folder_and_models_from_the_settings(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", SOURCE_FOLDER="lessons", LFK_MODELS="tiny,large-v3")
    expect_ok(lfk("init", "--source"))
    assert sorted(path.name for path in (tmp_path / "lessons" / "simple").iterdir()) == ["large-v3", "tiny"]


def test_init_needs_a_folder_to_make_source_folders_in(local: Lfk) -> None:
    done = local("init", "--source")
    assert done.code == 2
    assert "SOURCE_FOLDER" in done.err
    assert not (local.folder / "store").exists()


def test_one_thing_that_cannot_be_made_keeps_nothing_else_away(local: Lfk) -> None:
    (local.folder / "recordings").mkdir()
    (local.folder / "recordings" / "simple").write_text("in the way")
    done = local("init", "--source", "recordings")
    assert done.code == 1
    assert done.err.count("[file_unreadable]") == 5
    assert (local.folder / "recordings" / "diarisation" / "tiny").is_dir()


def test_the_doctor_is_content_after_init(local: Lfk) -> None:
    before = local("doctor")
    assert before.code == 2
    assert "lfk init" in before.out
    expect_ok(local("init"))
    after = expect_ok(local("doctor", "--json"))
    assert {check["verdict"] for check in after.of("check")} <= {"ok", "warn"}
    assert {check["name"] for check in after.of("check")} >= {
        *("settings", "store", "clock", "broker", "model", "ffmpeg", "gpu", "scratch")
    }
    shown = {one["name"]: one for one in after.of("setting")}
    assert (shown["LFK_STORE"]["value"], shown["LFK_STORE"]["source"]) == ("store", "environment")
    # Only what is not well is left when quiet.
    assert all(line.startswith("warn") for line in expect_ok(local("doctor", "-q")).out.splitlines())


def test_the_doctor_reads_the_env_file_and_keeps_secrets(local: Lfk) -> None:
    expect_ok(local("init"))
    (local.folder / ".env").write_text("HF_TOKEN=hush-hush\nLFK_GRUOP=x\nLFK_KAFKA_SASL_PASSWORD=hush-hush\n")
    done = expect_ok(local("doctor"))
    assert "hush" not in done.out + done.err
    assert "HF_TOKEN=****  (.env)" in done.out
    assert "LFK_GRUOP is not a setting of lfk; did you mean LFK_GROUP?" in done.out


def test_settings_that_cannot_be_used(local: Lfk) -> None:
    done = Lfk(local.folder, LFK_STORE="store", LFK_DEFAULT_MODEL="gigantic", LFK_FORMATS="txt")("doctor")
    assert done.code == 2
    # One cause is told once, though nearly every look fails of it.
    assert done.out.count("no model is called 'gigantic'") == 1
    assert done.out.count("  the same\n") > 1
    assert Lfk(local.folder, LFK_WORKERS="many")("doctor").code == 2


@pytest.mark.slow
def test_services_that_are_away(local: Lfk) -> None:
    expect_ok(local("init"))
    away = Lfk(local.folder, LFK_STORE="store", LFK_ENGINE="canned", BOOTSTRAP_SERVERS="127.0.0.1:9")
    done = away("doctor")
    assert done.code == 3
    assert "fail  broker" in done.out
    done = away("init")
    assert done.code == 3
    assert done.err.count("[broker_unreachable]") == 1
    elsewhere = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    store = Lfk(local.folder, LFK_STORE="s3://bucket/lfk", LFK_ENGINE="canned", **elsewhere)
    assert store("doctor").code == 3
    assert store("init").code == 3


@pytest.mark.kafka
@pytest.mark.s3
def test_on_kafka_and_s3(tmp_path: Path, kafka: str, s3_server: S3Server, bucket: str, topic_prefix: str) -> None:
    lfk = on_servers(tmp_path, kafka, s3_server, bucket, topic_prefix)
    fresh = Lfk(tmp_path, **{**lfk.environ, "LFK_STORE": f"s3://{bucket}-new/lfk"})
    assert "lfk init" in lfk("doctor").out

    broker = KafkaBroker({"bootstrap.servers": kafka})
    broker.ensure_topics([TopicPlan(f"{topic_prefix}.bulk", 2, 1, {"retention.ms": "1000"})])
    planned = expect_ok(lfk("init", "--dry-run", "--json"))
    assert len([step for step in planned.of("step") if step["made"]]) == 5
    assert broker.partitions(f"{topic_prefix}.audio") == 0

    made = expect_ok(lfk("init", "--json"))
    assert len([step for step in made.of("step") if step["made"]]) == 5
    # What was there is left as it is, and what is wrong with it is said.
    (poor,) = [step for step in made.of("step") if step["faults"]]
    assert poor["name"] == f"{topic_prefix}.bulk"
    assert len(poor["faults"]) == 2
    states = broker.describe([f"{topic_prefix}.{name}" for name in ("audio", "retry", "dlq", "bulk")])
    assert {name.rpartition(".")[2]: state.config["retention.ms"] for name, state in states.items()} == {
        "audio": "-1",
        "retry": "-1",
        "dlq": "-1",
        "bulk": "1000",
    }
    assert all(state.partitions == 6 for name, state in states.items() if not name.endswith("bulk"))
    assert [step for step in expect_ok(lfk("init", "--json")).of("step") if step["made"]] == []

    checked = expect_ok(Lfk(tmp_path, **{**lfk.environ, "LFK_WORKERS": "1"})("doctor", "--json"))
    warned = [check for check in checked.of("check") if check["verdict"] == "warn"]
    assert {check["name"] for check in warned} == {"topics"}
    assert any("granted" in check["text"] for check in checked.of("check") if check["name"] == "transactions")
    assert lfk.environ["AWS_SECRET_ACCESS_KEY"] not in checked.out

    denied = Lfk(tmp_path, **{**lfk.environ, "AWS_SECRET_ACCESS_KEY": "wrong"})("doctor")
    assert denied.code == 2
    (line,) = [line for line in denied.out.splitlines() if line.startswith("fail  store ")]
    assert "AWS_SECRET_ACCESS_KEY" in line
    expect_ok(fresh("init", "-q"))
    assert not [step for step in expect_ok(fresh("init", "--json")).of("step") if step["made"]]
    s3_server.client().delete_bucket(Bucket=f"{bucket}-new")
    broker.close()
