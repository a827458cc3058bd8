"""Settings: how values are written and read, and what every declaration must have."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.settings import Settings, Spec, parse_value, specs, value_text

SPECS = specs()


@pytest.mark.parametrize("name", SPECS)
def test_every_setting_says_what_it_is(name: str) -> None:
    spec = SPECS[name]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", spec.env)
    assert spec.help
    assert "\n" not in spec.help
    assert spec.flag is None or re.fullmatch(r"--[a-z][a-z-]*", spec.flag)
    assert not spec.choices or getattr(Settings(), name) in ("", *spec.choices)


@pytest.mark.parametrize("what", ["env", "flag"])
def test_no_name_is_used_twice(what: str) -> None:
    names = [name for spec in SPECS.values() if (name := getattr(spec, what))]
    names += [older for spec in SPECS.values() for older in spec.older] if what == "env" else []
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SPECS)
def test_a_default_reads_back_as_itself(name: str) -> None:
    default = getattr(Settings(), name)
    text = value_text(SPECS[name], default)
    assert not text or parse_value(SPECS[name], text) == default


@pytest.mark.parametrize("subject", Settings.__bases__)
def test_a_setting_is_declared_once_in_the_module_of_its_group(subject: type) -> None:
    declared = [one.name for one in fields(subject) if one.name in SPECS]
    assert {f"lfk.settings.{SPECS[name].group}" for name in declared} == {subject.__module__}
    others = {one.name for other in Settings.__bases__ if other is not subject for one in fields(other)}
    assert others.isdisjoint(declared)


def test_secrets_are_marked() -> None:
    telling = [spec.env for spec in SPECS.values() if re.search(r"SECRET|PASSWORD|TOKEN", spec.env) and not spec.secret]
    assert telling == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("scratch_bytes", "2097164", 2097164),
        ("scratch_bytes", "512M", 512 << 20),
        ("scratch_bytes", "4GiB", 4 << 30),
        ("scratch_bytes", "1.5k", 1536),
        ("scratch_bytes", " 2tb ", 2 << 40),
        ("timestamps", "TRUE", True),
        ("timestamps", "off", False),
        ("formats", " txt, srt ,,json ", ("txt", "srt", "json")),
        ("model_fallbacks", "tiny=tiny.en, base = base.en", {"tiny": "tiny.en", "base": "base.en"}),
        ("schema_type", "AVRO", "Avro"),
        ("workers", "3", 3),
        ("settle", "0.5", 0.5),
    ],
)
def test_values_are_read(name: str, text: str, value: object) -> None:
    assert parse_value(SPECS[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scratch_bytes", "-1"),
        ("scratch_bytes", "much"),
        ("scratch_bytes", "5X"),
        ("scratch_bytes", "nan"),
        ("scratch_bytes", "inf"),
        ("scratch_bytes", "G"),
        ("timestamps", "maybe"),
        ("model_fallbacks", "tiny"),
        ("model_fallbacks", "tiny="),
        ("schema_type", "Protobuf"),
        ("workers", "-1"),
        ("limit", "99999999999999999999"),
        ("settle", "1e26"),
        ("cleanup_older_than", "1e300w"),
        ("workers", "1.5"),
        ("json_ratio", "0"),
        ("json_ratio", "nan"),
        ("json_ratio", "1.1"),
        ("settle", "inf"),
        ("settle", "nan"),
        ("settle", "-0.1"),
    ],
)
def test_what_is_no_value_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_value(SPECS[name], text)


@given(st.integers(0, 1 << 50))
def test_a_size_reads_back_as_itself(size: int) -> None:
    spec = SPECS["scratch_bytes"]
    assert parse_value(spec, value_text(spec, size)) == size


@given(st.sampled_from(sorted(SPECS)), st.text(max_size=30))
def test_any_text_is_a_value_or_refused(name: str, text: str) -> None:
    spec: Spec = SPECS[name]
    try:
        parse_value(spec, text)
    except ValueError:
        return
