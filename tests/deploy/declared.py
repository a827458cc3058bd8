"""What deployment files may name: settings that are declared, commands that parse."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence

from lfk.cli.main import VERBS, build_parser
from lfk.environment import KAFKA_PREFIX, load
from lfk.settings import Settings, specs

#: What images and hosts set besides lfk's own.
_OTHERS = frozenset({"HOME", "PATH", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED", "TMPDIR", "XDG_CACHE_HOME"})


def unknown_settings(names: Iterable[str]) -> set[str]:
    """Those that are no settings, no files of secrets, nothing for librdkafka and none of :data:`_OTHERS`."""
    known = {name for spec in specs().values() for name in (spec.env, *spec.older)}
    known |= {f"{spec.env}_FILE" for spec in specs().values() if spec.secret}
    return {name for name in names if name not in known | _OTHERS and not name.startswith(KAFKA_PREFIX)}


def check_command(arguments: Sequence[str]) -> None:
    """Parse a command line of lfk with lfk's own parser.

    Raises:
        AssertionError: there is no such command, or it does not take these arguments.
    """
    verb = arguments[0]
    assert verb in VERBS, f"lfk has no command {verb}"
    try:
        build_parser(verb, importlib.import_module(f"lfk.cli.{verb}")).parse_intermixed_args(list(arguments[1:]))
    except SystemExit as end:
        raise AssertionError(f"lfk {' '.join(arguments)} does not parse") from end


def check_values(environment: dict[str, str]) -> Settings:
    """Load an environment as lfk does; secrets' files are on other machines, so those are left out.

    Returns:
        The settings in force.

    Raises:
        AssertionError: a name is unknown.
        UsageError: a value cannot be parsed.
    """
    assert unknown_settings(environment) == set()
    given = {name: value for name, value in environment.items() if not name.endswith("_FILE")}
    settings = load(environ=given, env_file=None)
    assert settings.warnings == ()
    return settings
