"""What every command that sends references shares: ``--option k=v``, and what it says where no broker runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

REFERENCES_WAIT = "no broker runs on this store: the references wait there for the next `lfk up` or `lfk hub`"


class _Collect(argparse.Action):
    """Gathers the pairs of every ``--option`` into one mapping, under the name of the setting."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        # One pair each, so that a value may hold commas (formats=txt,srt).
        name, equals, value = str(values).partition("=")
        if not (name.strip() and equals and value.strip()):
            parser.error(f"{option_string}: {values!r}: expected name=value")
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), name.strip(): value.strip()})


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let the command take ``--option``; the values arrive as the setting LFK_OPTIONS."""
    parser.add_argument(
        "--option",
        dest="options",
        action=_Collect,
        default=None,
        metavar="K=V",
        help="option of these jobs, such as language=en; may be repeated [LFK_OPTIONS]",
    )
