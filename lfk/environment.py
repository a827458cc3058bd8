"""Fills the settings. The only module that reads the environment.

Order of precedence: flag, environment, ``.env``, default. An empty value means unset. Any secret may come from a
file named by ``NAME_FILE``. Unknown ``LFK_*`` names give a warning with the nearest known one; values that cannot
be parsed are a usage error.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfk.core.errors import UsageError
from lfk.settings import Settings, Spec, is_kafka_secret, parse_value, specs

#: Names with this prefix pass straight through to librdkafka, dots written as underscores.
KAFKA_PREFIX = "LFK_KAFKA_"
#: The longest secrets are chains of certificates.
_SECRET_BYTES = 64 << 10


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
) -> Settings:
    """The settings in force. ``flags`` maps field names to parsed values; None means not given.

    Raises:
        UsageError: a value cannot be parsed, or ``.env`` or a secret's file cannot be read.
    """
    environment = dict(os.environ if environ is None else environ)
    dotenv = _dotenv(env_file) if env_file is not None else {}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, spec in specs().items():
        given = (flags or {}).get(name)
        if given is not None:
            values[name], sources[spec.env] = given, "flag"
            continue
        for source, names in (("environment", environment), (".env", dotenv)):
            text = _lookup(spec, names)
            if text:
                values[name], sources[spec.env] = _parse(spec, text), source
                break
        else:
            sources[spec.env] = "default"
    both = {**dotenv, **environment}
    return Settings(**values, kafka=_kafka(both), sources=sources, warnings=_unknown(both))


def inherited() -> Mapping[str, str]:
    """This process's own environment, for child processes; what of it they get is decided by who starts them."""
    return dict(os.environ)


def _parse(spec: Spec, text: str) -> Any:
    try:
        return parse_value(spec, text)
    except ValueError as error:
        shown = "its value" if spec.secret else repr(text[:80])
        raise UsageError(f"{spec.env}: {shown} cannot be used: {error}", hint=f"{spec.env} is: {spec.help}") from error


def _lookup(spec: Spec, names: Mapping[str, str]) -> str:
    for name in (spec.env, *spec.older):
        if names.get(name):
            return names[name]
        path = names.get(f"{name}_FILE") if spec.secret else None
        if path:
            return _secret(f"{name}_FILE", path)
    return ""


def _kafka(names: Mapping[str, str]) -> dict[str, str]:
    """What goes to librdkafka, under its own names."""
    found = {}
    for name, value in names.items():
        if not name.startswith(KAFKA_PREFIX) or not value:
            continue
        own = name.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
        secret = own.removesuffix(".file")
        if own == secret or not is_kafka_secret(secret):
            found[own] = value
        elif not names.get(name.removesuffix("_FILE")):
            found[secret] = _secret(name, value)
    return found


def _secret(name: str, path: str) -> str:
    """The secret in a file, without the line break that editors and tools leave at its end."""
    try:
        # A pipe is fine (`<(vault read …)`), one that never ends is not.
        with Path(path).open("rb") as file:
            data = file.read(_SECRET_BYTES + 1)
        text = data.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: cannot read {path}: {type(error).__name__}") from error
    if len(data) > _SECRET_BYTES:
        raise UsageError(f"{name}: {path} has more than {_SECRET_BYTES} bytes, which no secret has")
    if not text:
        raise UsageError(f"{name}: {path} is empty", hint=f"write the secret into it, or unset {name}")
    return text


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {type(error).__name__}", hint="write it as UTF-8 text") from error


def _unknown(names: Mapping[str, str]) -> tuple[str, ...]:
    known = {spec.env for spec in specs().values()} | {f"{s.env}_FILE" for s in specs().values() if s.secret}
    found = []
    for name in sorted(names):
        # LFK_TEST_*, LFK_REQUIRE_* and LFK_CACHE belong to the project's own tests.
        if not name.startswith("LFK_") or name.startswith((KAFKA_PREFIX, "LFK_TEST_", "LFK_REQUIRE_", "LFK_CACHE")):
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            found.append(f"{name} is not a setting of lfk" + (f"; did you mean {near[0]}?" if near else ""))
    return tuple(found)
