"""``deploy/terraform/aws``: what Terraform itself says of it, as far as that can be had without a registry.

The module that turns the table into policies needs no provider, so it is run for real; the rest is checked for its
form, for names that are declared, and for statements that allow too much.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.integration.test_access import access  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
AWS = ROOT / "deploy" / "terraform" / "aws"
FILES = sorted(AWS.rglob("*.tf"))


@pytest.fixture(scope="module")
def terraform() -> str:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("terraform is not installed")
    return program


def run(program: str, *arguments: str, folder: Path) -> str:
    # Without a configuration file of whoever runs the tests, and without a word to its maker.
    environ = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    done = subprocess.run(
        [program, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_formatted_and_parses(terraform: str) -> None:
    assert run(terraform, "fmt", "-check", "-recursive", folder=AWS) == ""


@pytest.mark.parametrize("layout", ["one bucket", "three buckets"])
def test_its_policies_are_those_that_minio_is_tested_with(
    tmp_path: Path,
    terraform: str,
    access: ModuleType,  # noqa: F811
    layout: str,
) -> None:
    shutil.copytree(AWS / "access", tmp_path / "terraform/aws/access", ignore=shutil.ignore_patterns(".terraform*"))
    shutil.copy(ROOT / "deploy/access.json", tmp_path)
    places = access.ONE_BUCKET
    if layout == "three buckets":
        places = {
            "audio": access.Place("lfk-audio", ""),
            "transcripts": access.Place("lfk-transcripts", ""),
            "records": access.Place("lfk-store", ".lfk/"),
            "models": access.Place("lfk-store", "models/"),
        }
    folder = tmp_path / "terraform/aws/access"
    given = {name: {"bucket": place.bucket, "prefix": place.prefix} for name, place in places.items()}
    (folder / "terraform.tfvars.json").write_text(json.dumps({"places": given}))
    run(terraform, "init", "-backend=false", "-input=false", folder=folder)
    run(terraform, "validate", folder=folder)
    run(terraform, "apply", "-auto-approve", "-input=false", folder=folder)
    made = json.loads(run(terraform, "output", "-json", "policies", folder=folder))
    assert made.keys() == access.table()["roles"].keys()
    for role, policy in made.items():
        assert canonical(json.loads(policy)) == canonical(access.policy(role, places, access.AWS)), role


def test_the_roles_that_it_takes_are_those_of_the_table(access: ModuleType) -> None:  # noqa: F811
    text = (AWS / "variables.tf").read_text("utf-8")
    (named,) = re.findall(r"setsubtract\(keys\(var\.trust\), (\[.*?\])\)", text)
    assert json.loads(named) == [*access.table()["roles"]]
    told = ", ".join(json.loads(named))
    assert f"Role ({told}) to the policy" in text


def test_what_may_not_be_there_is_told_from_what_is_forbidden(access: ModuleType) -> None:  # noqa: F811
    """AWS says so only to whoever may list the bucket; MinIO knows no difference, so nothing is needed there."""
    free = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::lfk"]}
    for role in access.table()["roles"]:
        misses = any("miss" in grant.may for grant in access.grants(role))
        on_aws, on_minio = (
            access.policy(role, access.ONE_BUCKET, server)["Statement"] for server in (access.AWS, access.MINIO)
        )
        assert any("s3:ListBucket" in one["Action"] and "Condition" not in one for one in on_aws) is misses, role
        assert free not in on_minio
        assert not any("s3:ListenBucketNotification" in one["Action"] for one in on_aws)


def canonical(policy: Mapping[str, Any]) -> list[str]:
    """Statements whatever their order."""
    return sorted(json.dumps(one, sort_keys=True) for one in policy["Statement"])


def test_every_name_that_is_used_is_declared() -> None:
    for folder in (AWS, AWS / "access"):
        text = "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.tf")))
        declared = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))
        assert set(re.findall(r"\bvar\.(\w+)", text)) == declared
        resources = {".".join(pair) for pair in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)}
        assert set(re.findall(r"\b(aws_\w+\.\w+)\b", re.sub(r"data\.aws_\w+\.\w+", "", text))) <= resources


def test_nothing_is_allowed_by_a_wildcard() -> None:
    allowed = 0
    for path in FILES:
        for statement in re.split(r'Effect\s*=\s*"', path.read_text("utf-8"))[1:]:
            if not statement.startswith("Allow"):
                continue
            allowed += 1
            said = re.findall(r"^\s*((?:Action|Resource)\s*=.*)$", statement, re.MULTILINE)[:2]
            assert [field.split()[0] for field in said] == ["Action", "Resource"]
            for field in said:
                # The one star is behind a prefix that the table names.
                assert "*" not in field.replace("${right.prefix}*", ""), f"{path.name}: {field}"
    assert allowed == 6


def test_buckets_are_closed_and_encrypted() -> None:
    text = (AWS / "buckets.tf").read_text("utf-8")
    for wanted in (
        "aws_s3_bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_lifecycle_configuration",
        "BucketOwnerEnforced",
        '"aws:SecureTransport" = "false"',
    ):
        assert wanted in text
