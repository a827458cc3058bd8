"""Write the reference pages and ``.env.example`` from the code that they describe.

python docs/generate.py            write what has changed
python docs/generate.py --check    change nothing, fail where something is stale
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from types import ModuleType

from lfk.cli.main import VERBS, build_parser
from lfk.core import errors
from lfk.core.errors import ExitCode, LfkError
from lfk.core.metrics import BY_ROLE, EVERYWHERE
from lfk.core.options import OPTIONS
from lfk.environment import KAFKA_PREFIX
from lfk.settings import Settings, Spec, specs, value_text

ROOT = Path(__file__).resolve().parents[1]

#: What each group of settings is about, in the order in which they are declared.
GROUPS = {
    "store": "Where audio, transcripts and records are",
    "broker": "Kafka",
    "chunks": "Audio in messages",
    "sync": "Getting recordings in",
    "listen": "Notifications of new objects",
    "hub": "The hub",
    "engine": "The speech engine",
    "choosing": "Choosing among what is there",
    "batch": "Batch work",
    "demo": "The demo",
    "bench": "Measuring",
    "transcripts": "Reading transcripts",
    "web": "The web page",
    "cleanup": "Cleaning up",
    "report": "The report",
    "dlq": "Dead letters",
    "output": "Everywhere",
}

#: What exports each group of metrics.
PARTS = {
    "hub": "`lfk hub` and `lfk up`",
    "backlog": "what waits: one hub of a group, and `lfk status --serve`",
    "sync": "`lfk sync --watch` and `lfk up`",
    "listen": "`lfk listen`",
    "chunks": "`lfk chunks gateway`",
    "transcripts": "`lfk transcripts --follow`",
    "web": "`lfk web`",
}

_HEADER = "<!-- Written by docs/generate.py from the code; change it there. -->\n"


def documents() -> Mapping[str, str]:
    """Every generated file by its path below the project's root."""
    return {
        ".env.example": env_example(),
        "docs/reference/settings.md": settings_page(),
        "docs/reference/commands.md": commands_page(),
        "docs/reference/errors.md": errors_page(),
        "docs/reference/options.md": options_page(),
        "docs/reference/metrics.md": metrics_page(),
    }


def env_example() -> str:
    """Every setting with its meaning and default; no value, which means unset."""
    lines = [
        "# Every setting of lfk. Copy this file to .env and fill in what should differ; an empty value means unset.",
        "# Flag > environment > .env > default; `lfk doctor` shows what is in force. Sizes: 512M, 20G; times: seconds.",
        "# A secret may come from a file: instead of NAME=secret write NAME_FILE=/path/of/the/file.",
        f"# Names that begin with {KAFKA_PREFIX} go to librdkafka as they are, dots as underscores:",
        f"# {KAFKA_PREFIX}SESSION_TIMEOUT_MS sets session.timeout.ms.",
    ]
    for group, members in _grouped():
        lines += ["", f"# --- {GROUPS[group]}", ""]
        for spec, default in members:
            lines += [f"# {_meaning(spec)}{_default(default)}", f"{spec.env}="]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """The table of settings."""
    lines = [
        _HEADER,
        "# Settings",
        "",
        "A flag wins over the environment, the environment over `.env`, and `.env` over the default. An empty value",
        "means unset. `lfk doctor` prints what is in force and where it came from, secrets masked. Any secret may come",
        "from a file that `NAME_FILE` names. Sizes may be written as `512M` or `20G`; times are seconds.",
        f"`{KAFKA_PREFIX}<NAME>` passes a setting straight through to librdkafka, dots as underscores. A `LFK_*` name",
        "that is none of these is a warning with the nearest known name.",
    ]
    used = {name: [verb for verb in VERBS if name in _module(verb).SETTINGS] for name in specs()}
    by_env = {spec.env: name for name, spec in specs().items()}
    for group, members in _grouped():
        lines += ["", f"## {GROUPS[group]}", "", "| name | default | meaning | flag |", "|---|---|---|---|"]
        for spec, default in members:
            verbs = ", ".join(used[by_env[spec.env]])
            flag = f"`{spec.flag}`{f' ({verbs})' if verbs else ''}" if spec.flag else ""
            lines.append(_row(f"`{spec.env}`", f"`{default}`" if default else "", _meaning(spec), flag))
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """What each command does and takes."""
    lines = [_HEADER, "# Commands", "", "| command | does |", "|---|---|"]
    lines += [_row(f"[`lfk {verb}`](#lfk-{verb})", text) for verb, text in VERBS.items()]
    lines += [
        "",
        "Everywhere: `--store`, `--bootstrap-servers`, `--json` (one object a line), `-q`, `-v`, `--env-file FILE`;",
        "`--dry-run` where something changes. Exit codes: 0 all well, 1 some items failed, 2 usage or configuration,",
        "3 a service cannot be reached, 130 interrupted.",
    ]
    for verb in VERBS:
        module = _module(verb)
        lines += ["", f"## lfk {verb}", "", inspect.cleandoc(module.__doc__ or ""), ""]
        lines += ["| argument | meaning | setting |", "|---|---|---|", *_arguments(verb, module)]
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Every error that a user can meet."""
    lines = [
        _HEADER,
        "# Errors",
        "",
        "An error has a code, the same on screen, in announcements and in dead letters. *transient* is tried again,",
        "*permanent* is answered with a failure, *fatal* stops the command.",
        "",
        "| code | kind | exit code | what it is | what to do |",
        "|---|---|---|---|---|",
    ]
    for error in _errors():
        about = inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        lines.append(_row(f"`{error.code}`", error.kind.value, str(int(ExitCode(error.exit_code))), about, error.hint))
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric that is exported."""
    lines = [
        _HEADER,
        "# Metrics",
        "",
        "What `/metrics` at LFK_HEALTH serves, by role; [observability](../observability.md) says what for. Times are",
        "seconds, sizes bytes. Each page has Prometheus' own `process_*` metrics besides (memory, processor time, open",
        "files, start). Labels hold names from lists alone (`other` for what is on none), never keys or file names.",
    ]
    parts = {"every role": EVERYWHERE, **{PARTS[role]: metrics for role, metrics in BY_ROLE.items()}}
    for title, metrics in parts.items():
        lines += [
            "",
            f"## {title[0].upper()}{title[1:]}",
            "",
            "| metric | kind | labels | what it is |",
            "|---|---|---|---|",
        ]
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            lines.append(_row(f"`{metric.name}`", metric.kind, labels, metric.help))
    return "\n".join(lines) + "\n"


def options_page() -> str:
    """docs/reference/options.md"""
    lines = [
        "# Job options",
        "",
        "What a single job may ask for: `--option k=v` (LFK_OPTIONS) of the commands that send references, `k=v` in",
        "the address of an upload to `lfk web`, or `options` in a reference. Rendering options change how a result is",
        "written, never the work; others are part of its identity, except for those that change speed alone.",
        "",
        _row("option", "meaning", "default", "changes"),
        "|---|---|---|---|",
    ]
    for option in OPTIONS.values():
        default = "" if option.default is None else str(option.default)
        lines.append(_row(f"`{option.name}`", option.help, default, option.affects))
    lines += [
        "",
        "`language=multi` decides the language anew for each speech region and aligns each with the aligner of its own",
        "language. It needs a multilingual Whisper model and those aligners: `lfk models pull`. Offline only English",
        "is at hand, so this path is tested with stand-in models; see [models](../models.md).",
    ]
    return "\n".join(lines) + "\n"


def main(write: Callable[[str], object] = print) -> int:
    """Write, or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, fail where something is stale")
    check = parser.parse_args().check
    stale = [name for name, text in documents().items() if _current(ROOT / name) != text]
    for name in stale:
        if not check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(documents()[name], encoding="utf-8")
        write(f"{'stale' if check else 'wrote'}: {name}")
    return int(check and bool(stale))


def _grouped() -> Iterator[tuple[str, list[tuple[Spec, str]]]]:
    defaults = {field.name: field for field in fields(Settings)}

    def default(name: str, spec: Spec) -> str:
        field = defaults[name]
        value = field.default_factory() if callable(field.default_factory) else field.default
        return value_text(spec, value)

    everything = [(spec, default(name, spec)) for name, spec in specs().items()]
    # A group is one block of the declarations, so neighbours are enough.
    for group, members in groupby(everything, key=lambda item: item[0].group):
        yield group, list(members)


def _meaning(spec: Spec) -> str:
    choices = f" ({', '.join(spec.choices)})" if spec.choices else ""
    older = f"; older name: {', '.join(spec.older)}" if spec.older else ""
    return f"{spec.help}{choices}{older}"


def _default(text: str) -> str:
    return f" [{text}]" if text else ""


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"lfk.cli.{verb}")


def _arguments(verb: str, module: ModuleType) -> Iterator[str]:
    common = {"help", "quiet", "verbose", "env_file", "store", "bootstrap", "json"} - set(module.SETTINGS)
    known = specs()
    for action in build_parser(verb, module)._actions:
        if action.dest in common:
            continue
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
        env = known[action.dest].env if action.dest in module.SETTINGS else ""
        about = (action.help or "").replace("%%", "%").removesuffix(f" [{env}]")
        yield _row(names, about, f"`{env}`" if env else "")


def _errors() -> Iterator[type[LfkError]]:
    for name in errors.__all__:
        one = getattr(errors, name)
        if issubclass(one, LfkError):
            yield one


def _row(*cells: str) -> str:
    return "| " + " | ".join(_cell(text) for text in cells) + " |"


def _cell(text: str) -> str:
    bare = text if text.startswith("`") else text.replace("<", "&lt;")
    return bare.replace("|", "\\|")


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
