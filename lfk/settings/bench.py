"""Measuring with `lfk bench`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "bench")


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    bench_rounds: int = setting(
        "LFK_BENCH_ROUNDS", 3, "rounds of each way in `lfk bench`", parse=forms.at_least_one, flag="--rounds"
    )
    bench_files: int = setting(
        "LFK_BENCH_FILES", 12, "recordings in a round, repeated if need be", parse=forms.count, flag="--recordings"
    )
