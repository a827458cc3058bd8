"""The roles of ``deploy/access.json`` on a real MinIO: their commands work with their keys, other calls are denied."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.command import Done, Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.services.minio_roles import user_with
from tests.services.s3 import S3Server

ROOT = Path(__file__).parents[2]
ROLES = (
    *("producer", "hub", "hub-without-backups", "listen", "gateway", "consumer", "web", "web-with-token", "operator"),
)
#: Over the size from which on files travel in parts.
LARGE = 9 << 20


@pytest.fixture(scope="module")
def access() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lfk_access", ROOT / "deploy" / "access.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its data classes look themselves up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def places(access: ModuleType, bucket: str) -> Mapping[str, Any]:
    """Where things are for ``LFK_STORE=s3://bucket/lfk``."""
    found: Mapping[str, Any] = access.below(f"s3://{bucket}/lfk")
    return found


@contextlib.contextmanager
def keys_of(access: ModuleType, minio: S3Server, bucket: str) -> Iterator[Mapping[str, S3Server]]:
    """The server as each role reaches it."""
    with contextlib.ExitStack() as stack:
        yield {
            role: stack.enter_context(user_with(minio, access.policy(role, places(access, bucket)))) for role in ROLES
        }


def test_what_is_made_from_the_table_is_up_to_date(access: ModuleType) -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in access.files().items() if path.read_text("utf-8") != text]
    assert stale == [], "run `python deploy/access.py`"


def test_policies_for_another_store(access: ModuleType, tmp_path: Path) -> None:
    assert access.below("s3://lfk") == access.below("s3://lfk/") == access.ONE_BUCKET
    assert access.below("s3://b-1/a/b/")["records"] == access.Place("b-1", "a/b/.lfk/")
    assert access.main(["s3://recordings/team", str(tmp_path / "new")]) == 0
    written = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()}
    assert sorted(written) == sorted(ROLES)
    assert "arn:aws:s3:::recordings/team/transcripts/*" in written["consumer"]
    assert not any("arn:aws:s3:::lfk" in text for text in written.values())
    for wrong in ("recordings/team", "s3://", "s3://b*/x", "s3://bucket/*", "s3://bucket//x", "file:///x"):
        assert access.main([wrong, str(tmp_path / "wrong")]) == 2
    assert not (tmp_path / "wrong").exists()


def test_no_statement_is_a_wildcard(access: ModuleType) -> None:
    for role in access.table()["roles"]:
        for statement in access.policy(role, access.ONE_BUCKET)["Statement"]:
            # MinIO's way to keep earlier versions from who may delete; nothing else is said by denying.
            assert statement["Effect"] == "Allow" or statement["Action"] == ["s3:DeleteObjectVersion"]
            assert not [action for action in statement["Action"] if "*" in action]
            for resource in statement["Resource"]:
                # A star stands for names below a prefix, and for nothing else.
                assert resource.removesuffix("/*").count("*") == 0
                assert resource.startswith("arn:aws:s3:::lfk")
                assert resource not in ("arn:aws:s3:::lfk/*", "arn:aws:s3:::*")


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_every_role_can_do_its_work(
    tmp_path: Path, access: ModuleType, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    root = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expect_ok(root("init"))
    make_recordings(tmp_path / "recordings", 2)
    large = tmp_path / "recordings/simple/tiny/large.wav"
    large.write_bytes(os.urandom(LARGE))
    with keys_of(access, minio, minio_bucket) as keys:

        def role(name: str, **environ: str) -> Callable[..., Done]:
            return Lfk(tmp_path, **{**root.environ, **keys[name].environment(), **environ})

        producer, hub, consumer, operator = role("producer"), role("hub"), role("consumer"), role("operator")
        for name, machine in (("producer", producer), ("hub", hub), ("consumer", consumer)):
            expect_ok(machine("doctor", "--role", name))
        expect_ok(producer("sync", "recordings"))
        assert "3 unchanged" in expect_ok(producer("sync", "recordings")).out
        # Recorded, as the path alone would not bring it back; and by a machine that remembers nothing.
        expect_ok(role("producer", XDG_STATE_HOME=str(tmp_path / "new"))("sync", "recordings", "--model", "base"))
        expect_ok(producer("submit", "simple/tiny/"))
        assert "0 failed" in expect_ok(hub("hub", "--max-jobs", "9")).out
        expect_ok(consumer("transcripts", "--out", "received"))
        assert len(list((tmp_path / "received").rglob("*.json"))) == 6
        assert "http" in expect_ok(consumer("transcripts", "--links")).out

        client = minio.client()
        client.put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/broken.wav", Body=b"")
        expect_ok(operator("submit", "--trust", "simple/tiny/broken.wav"))
        assert hub("hub", "--max-jobs", "1").code == 1
        (failed,) = expect_ok(operator("dlq", "list", "--json")).of("failure")
        expect_ok(operator("dlq", "show", failed["event_id"]))
        expect_ok(operator("dlq", "retry", failed["event_id"]))
        expect_ok(operator("dlq", "discard", failed["event_id"]))
        expect_ok(operator("status"))
        expect_ok(operator("report"))
        expect_ok(operator("doctor"))
        expect_ok(operator("republish", "--only", "all", "--force", "--limit", "1"))
        assert operator("check").code in (0, 1)
        deleting = role("operator", CENTRAL_BACKUPS="false")
        assert expect_ok(deleting("cleanup", "--older-than", "0", "--yes", "--json")).of("summary")[0]["deleted"] == 3
        done = expect_ok(operator("forget", "simple/tiny/", "--yes", "--json"))
        assert done.of("summary")[0]["left"] == 0
        assert client.list_objects_v2(Bucket=minio_bucket, Prefix="lfk/transcripts/")["KeyCount"] == 0
        refused = role("producer", XDG_STATE_HOME=str(tmp_path / "newer"))("sync", "recordings")
        assert "audio_forgotten" in refused.err


@pytest.mark.s3
def test_a_right_that_is_missing_is_named(
    tmp_path: Path, access: ModuleType, minio: S3Server, minio_bucket: str
) -> None:
    with user_with(minio, access.policy("consumer", places(access, minio_bucket))) as keys:
        lfk = Lfk(tmp_path, LFK_STORE=f"s3://{minio_bucket}/lfk", **keys.environment())
        listing = lfk("check")
        make_recordings(tmp_path / "recordings", 1)
        writing = lfk("sync", "recordings")
        other = {**keys.environment(), "AWS_SECRET_ACCESS_KEY": "of another"}
        wrong = Lfk(tmp_path, LFK_STORE=f"s3://{minio_bucket}/lfk", **other)("doctor", "--role", "consumer")
        right = lfk("doctor", "--role", "consumer")
    assert "SignatureDoesNotMatch to GetObject" in wrong.out
    assert f"ok    store         s3://{minio_bucket}/lfk/transcripts/ answers, and knows these keys" in right.out
    assert listing.code == 2
    assert "AccessDenied to ListObjectsV2" in listing.err
    assert f"these keys lack s3:ListBucket below s3://{minio_bucket}/lfk/" in listing.err
    assert writing.code == 2
    assert f"these keys lack s3:GetObject below s3://{minio_bucket}/lfk/.lfk/" in writing.err
    for done in (listing, writing):
        assert "docs/access.md" in done.err
        assert keys.secret_key not in done.out + done.err


@pytest.mark.kafka
@pytest.mark.s3
def test_the_doctor_tells_a_hub_that_is_set_up_from_one_that_is_not(
    tmp_path: Path, access: ModuleType, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    root = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expect_ok(root("init"))
    prefix = f"s3://{minio_bucket}/lfk"
    with keys_of(access, minio, minio_bucket) as keys:
        well = Lfk(tmp_path, **{**root.environ, **keys["hub"].environment()})
        assert "0 failed" in expect_ok(well("doctor", "--role", "hub")).out
        wrong = {"LFK_TOPIC_DLQ": f"{topic_prefix}.misspelt", "MAIN_NODE_TEMP_FOLDER": str(tmp_path / "no" / "folder")}
        (tmp_path / "no").write_text("a file", encoding="utf-8")
        ill = Lfk(tmp_path, **{**root.environ, **wrong, **keys["producer"].environment()})
        said = ill("doctor", "--role", "hub", "-q")
    assert said.code == 2
    fails = [line.split()[1] for line in said.out.splitlines() if line.startswith("fail")]
    assert fails == ["store", "transcripts", "writing", "topics", "scratch"], said.out
    for below, right in ((".lfk/", "ListBucket"), ("transcripts/", "ListBucket"), (".lfk/probes/", "PutObject")):
        assert f"these keys lack s3:{right} below {prefix}/{below}" in said.out
    assert f"there is no topic {topic_prefix}.misspelt  - create it with `lfk init`" in said.out
    assert "set MAIN_NODE_TEMP_FOLDER" in said.out


# --- the matrix

Call = Callable[[Any, str, str], object]
CALLS: Mapping[str, Call] = {
    "list": lambda client, bucket, prefix: client.list_objects_v2(Bucket=bucket, Prefix=prefix),
    "read": lambda client, bucket, prefix: client.get_object(Bucket=bucket, Key=f"{prefix}there"),
    "write": lambda client, bucket, prefix: client.put_object(Bucket=bucket, Key=f"{prefix}new", Body=b"new"),
    "delete": lambda client, bucket, prefix: client.delete_object(Bucket=bucket, Key=f"{prefix}deleted"),
    "delete version": lambda client, bucket, prefix: client.delete_object(
        Bucket=bucket, Key=f"{prefix}deleted", VersionId="null"
    ),
}
#: Where each call is made: a place, and what is below it.
SPOTS = (
    ("audio", ""),
    ("transcripts", ""),
    ("records", "results/"),
    ("records", "owners/"),
    ("records", "failed/"),
    ("records", "hubs/"),
    ("records", "speakers/"),
    ("records", "batches/"),
    ("records", "tombstones/"),
    ("records", "forgotten/"),
    ("models", ""),
)


def expected(access: ModuleType, role: str, verb: str, place: str, below: str) -> bool:
    """What the table says, read by other means than those that made the policies."""
    # Whoever may remove all versions may remove one.
    names = {verb, "versions"} if verb == "delete version" else {verb}
    return any(
        grant.place == place and below.startswith(grant.below) and names & {*grant.may} for grant in access.grants(role)
    )


def answers(client: Any, call: Call, bucket: str, prefix: str) -> bool:
    try:
        call(client, bucket, prefix)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
        return False
    return True


@pytest.mark.s3
def test_the_matrix_is_what_the_server_says(access: ModuleType, minio: S3Server, minio_bucket: str) -> None:
    where = places(access, minio_bucket)
    root = minio.client()
    rows = ["| call | " + " | ".join(ROLES) + " |", "|---|" + "---|" * len(ROLES)]
    wrong = []
    with keys_of(access, minio, minio_bucket) as keys:
        clients = {role: keys[role].client() for role in ROLES}
        for place, below in SPOTS:
            prefix = f"{where[place].prefix}{below}"
            root.put_object(Bucket=minio_bucket, Key=f"{prefix}there", Body=b"there")
            for verb, call in CALLS.items():
                cells = []
                for role, client in clients.items():
                    allowed = answers(client, call, minio_bucket, prefix)
                    cells.append("allowed" if allowed else "denied")
                    if allowed != expected(access, role, verb, place, below):
                        wrong.append(f"{role}: {verb} {prefix} {cells[-1]}")
                rows.append(f"| {verb} `{prefix.removeprefix('lfk/')}` | " + " | ".join(cells) + " |")
        for role, client in clients.items():
            # Neither the whole bucket nor what lies beside the store is anybody's.
            for prefix in ("", "elsewhere/"):
                wrong += [
                    f"{role}: {verb} {prefix!r} allowed"
                    for verb, call in CALLS.items()
                    if answers(client, call, minio_bucket, prefix)
                ]
    assert wrong == []
    page = (ROOT / "docs" / "access.md").read_text("utf-8")
    table = "\n".join(rows)
    if os.environ.get("WRITE_ACCESS_MATRIX"):
        (ROOT / "docs" / "access.md").write_text(_with_matrix(page, table), "utf-8")
    else:
        assert _with_matrix(page, table) == page, "write it with WRITE_ACCESS_MATRIX=1"


def _with_matrix(page: str, table: str) -> str:
    begin, end = "<!-- matrix: written by tests/integration/test_access.py -->", "<!-- matrix: end -->"
    before, _begin, rest = page.partition(begin)
    return f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"


def test_the_page_names_every_role(access: ModuleType) -> None:
    page = (ROOT / "docs" / "access.md").read_text("utf-8")
    for role in ROLES:
        assert f"| {role} |" in page
    assert set(ROLES) == set(access.table()["roles"])
    assert json.loads((ROOT / "deploy/minio/policies/consumer.json").read_text("utf-8"))["Version"] == "2012-10-17"
