"""Renders ``access.json``, the one table of who may do what, into everything that is made of it.

``python deploy/access.py`` writes the policies for MinIO, the tables of ``docs/access.md``, and nothing else; with
``s3://bucket/prefix FOLDER`` it writes the policies for that LFK_STORE into a folder instead. Terraform reads the table
itself (``terraform/aws/access``). Tests render both, compare them, and run lfk under them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "access.md"
POLICIES = HERE / "minio" / "policies"
#: Servers whose policies differ: MinIO tells listeners by itself, and lets whoever may delete an object delete its
#: versions unless that is denied; AWS has its own way with what is not there.
MINIO, AWS = "minio", "aws"


@dataclass(frozen=True)
class Grant:
    """What one role may do below one place."""

    place: str
    below: str
    may: tuple[str, ...]
    because: str


@dataclass(frozen=True)
class Place:
    """Where audio, transcripts, records or models are: a bucket, and a prefix that is empty or ends in a slash."""

    bucket: str
    prefix: str


#: One bucket for everything, as ``LFK_STORE=s3://lfk`` means it.
ONE_BUCKET = {
    "audio": Place("lfk", "audio/"),
    "transcripts": Place("lfk", "transcripts/"),
    "records": Place("lfk", ".lfk/"),
    "models": Place("lfk", "models/"),
}


def below(store: str) -> Mapping[str, Place]:
    """Where things are for one ``LFK_STORE`` in S3.

    Raises:
        ValueError: it is no ``s3://bucket/prefix``.
    """
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]+)/?((?:[\w.-]+/)*[\w.-]+)?/?", store, re.ASCII)
    if found is None:
        raise ValueError(f"{store}: expected s3://bucket/prefix")
    bucket, prefix = found.groups(default="")
    return {
        name: Place(bucket, f"{prefix}/{place.prefix}" if prefix else place.prefix)
        for name, place in ONE_BUCKET.items()
    }


def table() -> Mapping[str, Any]:
    """The table as it is written."""
    data: Mapping[str, Any] = json.loads((HERE / "access.json").read_text(encoding="utf-8"))
    return data


def grants(role: str) -> list[Grant]:
    """What a role may do, with what it takes over from another one."""
    data = table()["roles"][role]
    inherited = grants(data["extends"]) if "extends" in data else []
    own = [Grant(one["place"], one.get("below", ""), tuple(one["may"]), one["because"]) for one in data["grants"]]
    return [*inherited, *own]


def policy(role: str, places: Mapping[str, Place], server: str = MINIO) -> dict[str, Any]:
    """The role's policy as that server, :data:`MINIO` or :data:`AWS`, reads it."""
    return {"Version": "2012-10-17", "Statement": list(_statements(grants(role), places, server))}


def _statements(granted: Sequence[Grant], places: Mapping[str, Place], server: str) -> Iterator[dict[str, Any]]:
    actions = table()["actions"]
    for grant in granted:
        place = places[grant.place]
        prefix = f"{place.prefix}{grant.below}"
        of_objects = sorted({action for verb in grant.may for action in actions[verb].get("object", ())})
        of_bucket = sorted({action for verb in grant.may for action in actions[verb].get("bucket", ())})
        if of_objects:
            yield {
                "Effect": "Allow",
                "Action": of_objects,
                "Resource": [f"arn:aws:s3:::{place.bucket}/{prefix}*"],
            }
        if of_bucket:
            statement: dict[str, Any] = {
                "Effect": "Allow",
                "Action": of_bucket,
                "Resource": [f"arn:aws:s3:::{place.bucket}"],
            }
            if prefix:
                statement["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
            yield statement
    yield from _of_whole_buckets(granted, places, server)
    if server == MINIO:
        yield from _without_versions(granted, places)


def _without_versions(granted: Sequence[Grant], places: Mapping[str, Place]) -> Iterator[dict[str, Any]]:
    """What whoever deletes there may not take away for good."""
    for grant in granted:
        rights = {verb for other in granted if other.place == grant.place for verb in other.may}
        if "delete" in grant.may and not rights & {"delete version", "versions"}:
            place = places[grant.place]
            yield {
                "Effect": "Deny",
                "Action": ["s3:DeleteObjectVersion"],
                "Resource": [f"arn:aws:s3:::{place.bucket}/{place.prefix}{grant.below}*"],
            }


def _of_whole_buckets(granted: Sequence[Grant], places: Mapping[str, Place], server: str) -> Iterator[dict[str, Any]]:
    """Calls that no prefix can bound, as their server knows no condition for them."""
    actions = table()["actions"]
    found: dict[str, set[str]] = {}
    for grant in granted:
        place = places[grant.place]
        for verb in grant.may:
            bound_to = found.setdefault(place.bucket, set())
            bound_to.update(actions[verb].get("whole_bucket", ()))
            if place.prefix or grant.below or server == MINIO:
                bound_to.update(actions[verb].get(f"whole_bucket_{server}", ()))
    for bucket in sorted(found):
        if found[bucket]:
            yield {"Effect": "Allow", "Action": sorted(found[bucket]), "Resource": [f"arn:aws:s3:::{bucket}"]}


def files() -> dict[Path, str]:
    """Every file that is written from the table, with its content; the page keeps what stands between its marks."""
    written = policies(POLICIES, ONE_BUCKET)
    page = PAGE.read_text(encoding="utf-8")
    for name, text in (("store", store_table()), ("kafka", kafka_table())):
        page = fill(page, name, text)
    return {**written, PAGE: page}


def policies(folder: Path, places: Mapping[str, Place]) -> dict[Path, str]:
    """Each role's policy as a file of that folder, with its content."""
    return {folder / f"{role}.json": json.dumps(policy(role, places), indent=2) + "\n" for role in table()["roles"]}


def fill(page: str, name: str, text: str) -> str:
    """The page with the text between the marks of that name."""
    begin, end = f"<!-- {name}: written by deploy/access.py -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE.name} has no place for {name!r}")
    return pattern.sub(lambda _match: f"{begin}\n{text}\n{end}", page)


def store_table() -> str:
    """Role, prefix, actions, why: in Markdown."""
    rows = ["| role | runs | below | may | because |", "|---|---|---|---|---|"]
    for role, data in table()["roles"].items():
        first = True
        for grant in grants(role):
            where = f"`{'.lfk' if grant.place == 'records' else grant.place}/{grant.below}`"
            rows.append(
                f"| {role if first else ''} | {data['does'] if first else ''} | {where} | {', '.join(grant.may)} "
                f"| {grant.because} |"
            )
            first = False
    rows += ["", "| what it may | on AWS and MinIO |", "|---|---|"]
    for verb, action in table()["actions"].items():
        names = [
            *action.get("object", ()),
            *(f"{one} (of the bucket, by prefix)" for one in action.get("bucket", ())),
            *(f"{one} (of the whole bucket)" for one in action.get("whole_bucket", ())),
            *(f"{one} (of the whole bucket, MinIO alone)" for one in action.get(f"whole_bucket_{MINIO}", ())),
            *(f"{one} (of the whole bucket, AWS alone)" for one in action.get(f"whole_bucket_{AWS}", ())),
        ]
        rows.append(f"| {verb} | {', '.join(names)} |")
    return "\n".join(rows)


@dataclass(frozen=True)
class Acl:
    """What one role may do with one resource of Kafka, as ``kafka-acls.sh`` takes it."""

    #: ``topic``, ``group`` or ``transactional-id``.
    kind: str
    name: str
    #: The name is what others begin with.
    prefixed: bool
    operations: tuple[str, ...]
    because: str


def acls(role: str, names: Mapping[str, str]) -> list[Acl]:
    """The role's rights; ``names`` has the topics by ``audio``, ``bulk`` …, and the groups by their settings."""
    found = []
    for one in _kafka_grants(role):
        for field in ("group", "group_prefix", "transactional_id_prefix"):
            if field in one:
                kind = field.removesuffix("_prefix").replace("_", "-")
                found.append(
                    Acl(kind, _named(one[field], names), "_prefix" in field, tuple(one["may"]), one["because"])
                )
        found += [
            Acl("topic", names.get(topic, topic), False, tuple(one["may"]), one["because"])
            for topic in one.get("topic", ())
        ]
    return found


def _kafka_grants(role: str) -> list[Mapping[str, Any]]:
    """What the table says of the role, and of the one that it extends in the store."""
    data = table()
    extended = data["roles"].get(role, {}).get("extends")
    inherited = data["kafka"].get(extended, [])
    return [*inherited, *data["kafka"][role]]


def _named(text: str, names: Mapping[str, str]) -> str:
    setting = text.removesuffix("-")
    return names.get(setting, setting) + text[len(setting) :]


def kafka_table() -> str:
    """Role, resource, operations, why: in Markdown."""
    rows = ["| role | resource | operations | because |", "|---|---|---|---|"]
    for role in table()["kafka"]:
        for number, one in enumerate(acls(role, {})):
            resource = f"{one.kind} `{one.name}`" + (" and what begins so" if one.prefixed else "")
            rows.append(f"| {'' if number else role} | {resource} | {', '.join(one.operations)} | {one.because} |")
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> int:
    """Write what has changed."""
    if len(arguments) not in (0, 2):
        sys.stderr.write("usage: python deploy/access.py [s3://bucket/prefix FOLDER]\n")
        return 2
    try:
        wanted = policies(Path(arguments[1]), below(arguments[0])) if arguments else files()
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(HERE.parent) if path.is_relative_to(HERE.parent) else path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
