"""The ``lfk`` command: finds the verb, loads the settings, runs it, and turns errors into exit codes.

Light by design: help imports no verb, and a verb imports what it needs when it runs. A verb is a module of this
package named in :data:`VERBS` that exposes ``SETTINGS`` (the fields of :class:`lfk.settings.Settings` that it shows
as options), ``arguments(parser)`` and ``run(arguments, settings, console) -> ExitCode``; where an option takes all that
stands behind it, ``LAST_OPTION`` names it and the field that it fills.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lfk import __version__
from lfk.cli.console import Console
from lfk.cli.streams import OutputLost, drop, make_usable
from lfk.core.errors import ExitCode, LfkError, UsageError
from lfk.environment import load
from lfk.settings import Settings, Spec, parse_value, secrets, specs

#: Every verb with its one line of help, in the order that help shows them.
VERBS: Mapping[str, str] = {
    "demo": "run the whole pipeline here on real speech, or on your own files",
    "up": "single-machine service: watch a folder, transcribe, keep results",
    "init": "create topics, buckets and source folders",
    "doctor": "check configuration, broker, store, models, GPU",
    "sync": "upload what is new in a folder, then send its references",
    "submit": "send references for audio that is in the store already",
    "listen": "send references for what others upload, as the store tells of it",
    "chunks": "audio in messages: send files in chunks, or join them in the store",
    "republish": "send references again: all, missing, failed or stale ones",
    "hub": "transcribe what is referenced",
    "models": "weights of models: list, pull, push, adopt, verify",
    "transcripts": "print, download or link what was transcribed",
    "web": "a page for people: drop recordings, read and listen, retry what failed",
    "bench": "how fast this machine transcribes, beside plain WhisperX",
    "report": "cost and speed by approach and model",
    "cleanup": "delete recordings whose transcript is verified",
    "forget": "remove an audio and all that was made of it, for good",
    "dlq": "dead letters: list, show, retry, discard",
    "check": "what is missing, stale, orphaned, half-written or failed in the store",
    "status": "what waits, what each hub is at, what has failed",
}

#: Objects made before rubbish in circles is looked for, in place of 700: references and listings make many at a time
#: and none in circles, and the search was a twelfth of what sending them costs.
_GC_THRESHOLD = 20_000

#: Shown by every verb.
_COMMON = ("store", "bootstrap", "json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    gc.set_threshold(_GC_THRESHOLD)
    make_usable()
    try:
        code = _dispatch(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`lfk … | head`). The signal stays ignored: a hub must survive an engine that closes its
        # pipe.
        drop(sys.stdout)
        return ExitCode.INTERRUPTED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except OutputLost as error:
        drop(sys.stdout)
        print(f"error: {error} - make room, or send the output elsewhere", file=sys.stderr)
        return ExitCode.SOME_FAILED
    return code


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        Console().say(_help())
        return ExitCode.OK if argv else ExitCode.USAGE
    if argv[0] in ("-V", "--version"):
        Console().say(f"lfk {__version__}")
        return ExitCode.OK
    verb = argv[0]
    if verb not in VERBS:
        print(f"error: there is no command {verb!r} - see `lfk --help`", file=sys.stderr)
        return ExitCode.USAGE
    return _run(verb, argv[1:])


def build_parser(verb: str, module: ModuleType) -> argparse.ArgumentParser:
    """The parser of one verb: its arguments, its settings as options, and what every verb has."""
    parser = argparse.ArgumentParser(
        prog=f"lfk {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.arguments(parser)
    options = parser.add_argument_group("settings", "flag > environment > .env > default")
    known = specs()
    # A list may take the words behind it only where no argument of the verb's own could follow them.
    takes_more = all(action.option_strings for action in parser._actions)
    for name in (*module.SETTINGS, *(n for n in _COMMON if n not in module.SETTINGS)):
        _add_option(options, name, known[name], takes_more)
    everywhere = parser.add_argument_group("everywhere")
    everywhere.add_argument("-q", "--quiet", action="store_true", help="results and errors only")
    everywhere.add_argument("-v", "--verbose", action="count", default=0, help="more; twice for everything")
    everywhere.add_argument("--env-file", type=Path, metavar="FILE", help="instead of .env")
    return parser


def _run(verb: str, argv: list[str]) -> int:
    module = importlib.import_module(f"lfk.cli.{verb}")
    parsed = _parse(verb, module, argv)
    console = Console(as_json=bool(getattr(parsed, "json", False)), verbosity=-1 if parsed.quiet else parsed.verbose)
    try:
        settings = load(_flags(parsed), env_file=_env_file(parsed.env_file))
        console.as_json = settings.json
        _set_up_logging(settings, console.verbosity)
        for warning in settings.warnings:
            console.warn(warning)
        return int(module.run(parsed, settings, console))
    except LfkError as error:
        console.error(error)
        return int(error.exit_code)


def _env_file(named: Path | None) -> Path:
    if named is not None and not named.exists():
        raise UsageError(f"{named}: no such file", hint="name a file of settings, or leave --env-file out")
    return named or Path(".env")


def _parse(verb: str, module: ModuleType, argv: list[str]) -> argparse.Namespace:
    # Intermixed: options may stand between the arguments of a verb (`lfk models pull --dry-run NAME`).
    parser = build_parser(verb, module)
    option, name = getattr(module, "LAST_OPTION", ("", ""))
    if option not in argv:
        return parser.parse_intermixed_args(argv)
    # What stands behind it is a command of the user's, whatever it looks like: `--` and `-x` are none of ours.
    at = argv.index(option)
    parsed = parser.parse_intermixed_args(argv[:at])
    setattr(parsed, name, argv[at + 1 :])
    return parsed


def _flags(parsed: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(parsed, name, None) for name in specs()}


class _Gather(argparse.Action):
    """A list: with commas, with several values, with the option again; all of them together."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        given = values if isinstance(values, list) else [values]
        told: tuple[str, ...] = getattr(namespace, self.dest) or ()
        setattr(namespace, self.dest, (*told, *(part for parts in given for part in parts)))


def _add_option(group: argparse._ArgumentGroup, name: str, spec: Spec, takes_more: bool) -> None:
    if spec.flag is None:
        raise UsageError(f"{spec.env} has no flag")
    text = f"{spec.help} [{spec.env}]".replace("%", "%%")
    if spec.is_switch:
        group.add_argument(spec.flag, dest=name, action="store_true", default=None, help=text)
    elif spec.choices:
        group.add_argument(spec.flag, dest=name, choices=spec.choices, default=None, help=text)
    else:

        def convert(value: str) -> Any:
            try:
                return parse_value(spec, value)
            except ValueError as error:
                raise argparse.ArgumentTypeError(f"{value!r}: {error}") from error

        how: dict[str, Any] = {"dest": name, "type": convert, "default": None, "metavar": spec.metavar, "help": text}
        if spec.is_list:
            how |= {"action": _Gather, "nargs": "+" if takes_more else None}
        group.add_argument(spec.flag, **how)


def _set_up_logging(settings: Settings, verbosity: int) -> None:
    from lfk.cli.logs import set_up

    default = {-1: "error", 0: "warning", 1: "info"}.get(verbosity, "debug")
    set_up(settings.log_level or default, settings.log_format, secrets(settings))


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: lfk COMMAND [OPTIONS]",
            "",
            "Recordings in a folder or bucket become transcripts beside them, by reference over Kafka.",
            "",
            "commands:",
            *lines,
            "",
            "`lfk COMMAND --help` tells more; `lfk --version` tells the version.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
