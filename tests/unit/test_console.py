"""What commands print: text from outside can neither forge a line nor end the command."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from lfk.cli.console import Console
from lfk.cli.logs import _Json, _Text
from lfk.core.errors import ObjectMissing


def written(*, as_json: bool, name: str) -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    Console(as_json=as_json, out=out, err=out).result("file", {"name": name}, f"sent  {name}")
    out.flush()
    return raw.getvalue().decode("utf-8")


def test_half_a_character_is_written_as_an_escape() -> None:
    line = written(as_json=True, name="a\ud800é\\b")
    assert json.loads(line) == {"event": "file", "name": "a\ud800é\\b"}
    assert "é" in line
    assert written(as_json=False, name="a\ud800\x1b[31m") == "sent  a\\ud800\\x1b[31m\n"


def test_json_means_the_same_and_does_nothing_to_a_terminal() -> None:
    name = "a\x9b31m\x7f\u202egnp.wav\u2028 日本 😀 \U000e0041"
    line = written(as_json=True, name=name)
    assert json.loads(line)["name"] == name
    assert line.rstrip("\n").isprintable()
    assert "日本 😀" in line


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("s3://b/a.wav", "error: s3://b/a.wav: the store answered 404 [object_missing] - "),
        ("a.wav", "error: a.wav: s3://b/a.wav: the store answered 404 [object_missing] - "),
        ("", "error: s3://b/a.wav: the store answered 404 [object_missing] - "),
    ],
)
def test_an_error_names_its_subject_once(subject: str, line: str) -> None:
    err = io.StringIO()
    Console(err=err).error(ObjectMissing("s3://b/a.wav: the store answered 404"), subject)
    assert err.getvalue().startswith(line)


def test_what_an_exception_says_does_nothing_to_a_terminal() -> None:
    try:
        raise ValueError("no such file: \x1b]0;owned\x07\x9b2J.wav")
    except ValueError:
        record = logging.LogRecord("lfk", logging.ERROR, "", 0, "a fault", None, sys.exc_info())
    for form in (_Text(()), _Json(())):
        written = form.format(record)
        assert "owned" in written
        assert all(line.isprintable() for line in written.split("\n"))
