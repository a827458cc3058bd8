"""A gate within three minutes: the same cases at small sizes, held against ratios that were recorded at that size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: A ratio may be this part of the recorded one. Small sizes and busy machines spread by a fifth; a lost engine, a lost
#: cache or a second pass over everything costs far more.
TOLERANCE = 0.65
#: Units of which less is worse, unless the target is a limit; all others are judged by their targets alone.
_MORE_IS_BETTER = ("×", "1/s", "%")


def losses(now: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[str]:
    """What has clearly got worse in one case. By processor time where that is known: others may be at work, too."""
    before = {figure["name"]: figure for figure in recorded["figures"]}
    for figure in now["figures"]:
        old = before.get(figure["name"])
        limited = figure["target"] is not None and figure["target"]["direction"] == "at most"
        if old is None or limited or figure["unit"] not in _MORE_IS_BETTER:
            continue
        pairs = [(figure["median"], old["median"], "")]
        if figure["processor"] and old["processor"]:
            pairs.append((figure["processor"], old["processor"], " by processor time"))
        # Clear is what both clocks say.
        if all(new < TOLERANCE * was for new, was, _how in pairs):
            said = ", ".join(f"{new:.2f}{figure['unit']} and not {was:.2f}{how}" for new, was, how in pairs)
            yield f"{now['case']}: {figure['name']}: {said}"
