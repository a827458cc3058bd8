"""The web page: its address, who may change something, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "web")


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    web: str = setting("LFK_WEB", "127.0.0.1:8080", "host:port of the web page", flag="--bind")
    web_token: str = setting(
        "LFK_WEB_TOKEN", "", "what whoever changes something has to show; empty: nobody can", secret=True
    )
    web_hosts: tuple[str, ...] = setting(
        "LFK_WEB_HOSTS",
        (),
        "names under which the page is reached, besides addresses and localhost",
        parse=forms.words,
        flag="--hosts",
    )
    web_max_upload: int = setting(
        "LFK_WEB_MAX_UPLOAD", 4 << 30, "largest recording that the page takes", parse=forms.size, flag="--max-upload"
    )
