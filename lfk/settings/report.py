"""The report, and what it counts with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "report")


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    report_style: str = setting(
        "LFK_REPORT_STYLE",
        "markdown",
        "how the report is written",
        flag="--style",
        choices=("markdown", "csv"),
    )
    price_hour: float = setting(
        "LFK_PRICE_HOUR",
        0.0,
        "what one engine costs an hour; 0 leaves cost out",
        parse=forms.price,
        flag="--price",
    )
    currency: str = setting("LFK_CURRENCY", "", "what the price is in, any text", flag="--currency")
    image_bytes: int = setting(
        "LFK_IMAGE_BYTES",
        0,
        "size of the container image, where it is known",
        parse=forms.size,
        flag="--image-bytes",
    )
