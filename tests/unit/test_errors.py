"""The tree of errors: whole, and each of it says what it is and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lfk.core import errors
from lfk.core.errors import Kind, LfkError


def below(error: type[LfkError]) -> Iterator[type[LfkError]]:
    yield error
    for one in error.__subclasses__():
        if one.__module__.startswith(f"{errors.__name__}."):
            yield from below(one)


TREE = list(below(LfkError))


def test_every_error_is_offered_once() -> None:
    offered = [one for name in errors.__all__ if issubclass(one := getattr(errors, name), LfkError)]
    assert sorted(offered, key=repr) == sorted(TREE, key=repr)


def test_no_code_is_used_twice() -> None:
    codes = [error.code for error in TREE]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", TREE)
def test_an_error_says_what_it_is_and_what_to_do(error: type[LfkError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert isinstance(error.kind, Kind)
    assert error.__doc__ is not None
    assert error.__doc__.partition("\n")[0].endswith(".")
    # A refusal that a room's border knows no better name for can only be reported.
    assert error.hint != LfkError.hint or error in (LfkError, errors.StoreError, errors.BrokerError)
