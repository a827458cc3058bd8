"""Which language is spoken, from how likely each is in some pieces of speech. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ENGLISH = "en"
#: A piece whose likeliest language is less likely than this, or that is shorter than this, says little by itself.
_SURE = 0.6
_LEAST_SECONDS = 1.5


def choose(pieces: Sequence[Mapping[str, float]]) -> str:
    """The one language of a recording: the likeliest over all pieces."""
    sums: dict[str, float] = {}
    for piece in pieces:
        for language, part in piece.items():
            sums[language] = sums.get(language, 0.0) + part
    return max(sums, key=lambda language: (sums[language], language)) if sums else ENGLISH


def agree(pieces: Sequence[Mapping[str, float]], seconds: Sequence[float]) -> list[str]:
    """The language of each piece of a recording in several.

    A piece that is short or unsure takes the likelier of its neighbours' languages, by what it says itself; if none
    of its neighbours is sure, that of the whole recording.
    """
    likeliest = [max(piece, key=lambda language, piece=piece: piece[language]) for piece in pieces]  # type: ignore[misc]
    sure = [
        piece[language] >= _SURE and length >= _LEAST_SECONDS
        for piece, language, length in zip(pieces, likeliest, seconds, strict=True)
    ]
    whole = choose(pieces)
    agreed: list[str] = []
    for at, piece in enumerate(pieces):
        if sure[at]:
            agreed.append(likeliest[at])
            continue
        before = next((likeliest[i] for i in range(at - 1, -1, -1) if sure[i]), None)
        behind = next((likeliest[i] for i in range(at + 1, len(pieces)) if sure[i]), None)
        candidates = [language for language in (before, behind) if language is not None] or [whole]
        agreed.append(max(candidates, key=lambda language, piece=piece: piece.get(language, 0.0)))  # type: ignore[misc]
    return agreed
