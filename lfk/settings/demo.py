"""The demo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings.declaring import declare

setting = partial(declare, "demo")


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    demo_folder: str = setting("LFK_DEMO_FOLDER", "lfk-demo", "folder of the demo", flag="--dir")
