"""What a declaration of a setting says besides its default, and what follows from that."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lfk.settings import forms


@dataclass(frozen=True, slots=True)
class Spec:
    """What is known of one setting besides its value."""

    env: str
    help: str
    group: str
    parse: Callable[[str], Any]
    flag: str | None
    older: tuple[str, ...]
    choices: tuple[str, ...]
    secret: bool
    metavar: str

    @property
    def is_switch(self) -> bool:
        """The flag takes no value."""
        return self.parse is forms.flag

    @property
    def is_list(self) -> bool:
        """The value has several words, separated by commas."""
        return self.parse is forms.words


def declare(
    group: str,
    env: str,
    default: Any,
    help: str,
    *,
    parse: Callable[[str], Any] = str,
    flag: str | None = None,
    older: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    secret: bool = False,
    metavar: str = "",
) -> Any:
    """A dataclass's field with all that is known of the setting.

    Args:
        group: its part of the reference, the same as its module's name.
        env: the name in the environment.
        parse: one of :mod:`lfk.settings.forms`.
        flag: None means that no command takes it as a flag.
        older: names that still work.
        metavar: what the flag's value is called; empty means the last word of ``env``.
    """
    spec = Spec(env, help, group, parse, flag, older, choices, secret, metavar or env.rpartition("_")[2])
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata={"spec": spec})
    return field(default=default, metadata={"spec": spec})


def parse_value(spec: Spec, text: str) -> Any:
    """Parse the text of one setting.

    Raises:
        ValueError: it is not of the setting's form.
    """
    if spec.choices:
        for choice in spec.choices:
            if choice.lower() == text.lower():
                return choice
        raise ValueError(f"expected one of {', '.join(spec.choices)}")
    return spec.parse(text)


def value_text(spec: Spec, value: Any) -> str:
    """A setting's value as it would be written: :func:`parse_value` reads it back, except that empty is unset."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{name}={text}" for name, text in value.items())
    if spec.parse is forms.command:
        return shlex.join(value)
    if isinstance(value, tuple):
        return ",".join(value)
    if spec.parse is forms.size:
        return forms.size_text(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
