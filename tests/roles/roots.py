"""The places that the tests of roles share."""

from __future__ import annotations

from lfk.core.addressing import Roots
from lfk.core.approaches import APPROACHES, Catalogue
from lfk.core.location import parse_location

ROOTS = Roots(
    audio=parse_location("s3://bucket/audio/"),
    transcripts=parse_location("s3://bucket/transcripts/"),
    records=parse_location("s3://bucket/.lfk/"),
    catalogue=Catalogue(),
    default_approach=APPROACHES["simple"],
    default_model="tiny",
)
