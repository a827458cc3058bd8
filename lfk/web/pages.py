"""What a browser opens: the list, a transcript to read and listen to, its audio, its files, and the scripts of it all.

A transcript's page is the very rendering of the ``html`` format, in a frame of its own: scripts and styles come as
files of this origin, so that the policy allows nothing else; the audio comes from the store through here, by range.
"""

from __future__ import annotations

import hashlib
from html import escape
from importlib import resources
from string import Template
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lfk.core.errors import LfkError, ObjectMissing
from lfk.core.formats import formats
from lfk.core.formats.html import body, title
from lfk.core.location import check_key
from lfk.core.media_types import content_type
from lfk.core.printable import printable
from lfk.core.speaker_names import SpeakerNames
from lfk.roles.opened import Opened, open_transcript
from lfk.stores.base import ObjectInfo
from lfk.web.answers import status_of
from lfk.web.ranges import answer
from lfk.web.site import Site
from lfk.web.threads import Threads

_OWN = resources.files(__package__).joinpath("static")
_PAGE = resources.files("lfk.core.formats").joinpath("page")
#: Files that browsers may fetch, and where each is.
_STATIC = {
    "app.js": (_OWN, "text/javascript; charset=utf-8"),
    "app.css": (_OWN, "text/css; charset=utf-8"),
    "talk.js": (_OWN, "text/javascript; charset=utf-8"),
    "player.js": (_OWN, "text/javascript; charset=utf-8"),
    "player.css": (_OWN, "text/css; charset=utf-8"),
    "icon.svg": (_OWN, "image/svg+xml"),
    "page.js": (_PAGE, "text/javascript; charset=utf-8"),
    "page.css": (_PAGE, "text/css; charset=utf-8"),
}
#: How formats are called where they are offered, in this order; others come behind under their own names.
_CALLED = {
    "srt": "Subtitles (srt)",
    "vtt": "Web subtitles (vtt)",
    "txt": "Text (txt)",
    "json": "Words and times (json)",
    "tsv": "Table (tsv)",
    "rttm": "Speaker turns (rttm)",
    "textgrid": "Praat (TextGrid)",
}
#: Of what comes from the store and is no page: it may do nothing at all, should a browser ever show it.
_INERT = "default-src 'none'; sandbox; frame-ancestors 'none'"


class Pages:
    """Handlers over one site."""

    def __init__(self, site: Site, threads: Threads) -> None:
        self._site = site
        self._threads = threads
        self._static = {name: (folder.joinpath(name).read_bytes(), kind) for name, (folder, kind) in _STATIC.items()}
        self._index = _OWN.joinpath("index.html").read_bytes()
        self._player = Template(_OWN.joinpath("player.html").read_text("utf-8"))
        self._sorry = Template(_OWN.joinpath("error.html").read_text("utf-8"))

    def routes(self) -> list[Route]:
        """Where each is."""
        return [
            Route("/", self.index, methods=["GET"]),
            Route("/healthz", self.healthy, methods=["GET"]),
            Route("/static/{name}", self.static, methods=["GET"]),
            Route("/t/{key:path}", self.transcript, methods=["GET"]),
            Route("/audio/{key:path}", self.audio, methods=["GET"]),
            Route("/files/{key:path}", self.file, methods=["GET"]),
        ]

    async def index(self, request: Request) -> Response:
        """The list."""
        return _unchanged(request, self._index, "text/html; charset=utf-8")

    async def healthy(self, _request: Request) -> Response:
        """This process answers; whether store and broker do is told on the page."""
        return Response("ok\n", media_type="text/plain")

    async def static(self, request: Request) -> Response:
        """A script, a style or the icon."""
        found = self._static.get(request.path_params["name"])
        if found is None:
            raise ObjectMissing("there is no such file")
        return _unchanged(request, *found)

    async def transcript(self, request: Request) -> Response:
        """A transcript to read and listen to."""
        try:
            text = await self._threads.run(self._transcript, check_key(request.path_params["key"]))
        except LfkError as error:
            sorry = self._sorry.substitute(message=escape(printable(error.message)), hint=escape(error.hint))
            return Response(sorry, status_of(error), media_type="text/html; charset=utf-8")
        return Response(text, media_type="text/html; charset=utf-8")

    def _transcript(self, key: str) -> bytes:
        opened, names = self._opened(key)
        page = opened.page(names)
        audio = f"/audio/{quote(key)}"
        links = "".join(
            f'<a href="/files/{escape(quote(key))}?format={form}" download>{called}</a>'
            for form, called in _offered().items()
        )
        has_speakers = bool(opened.transcript.speakers)
        more = (
            f'<div class="more" data-key="{escape(key)}">'
            f'<details class="menu"><summary>Download</summary><div class="sheet">{links}</div></details>'
            + ('<button type="button" id="name" hidden>Name speakers</button>' if has_speakers else "")
            + '<details class="menu" id="links"><summary>Links</summary><div class="sheet" id="links-sheet"></div>'
            "</details></div>"
        )
        return self._player.substitute(title=title(page), body=body(page, audio=audio, beside=audio, more=more)).encode(
            "utf-8", "xmlcharrefreplace"
        )

    async def audio(self, request: Request) -> Response:
        """The recording of a transcript, whole or in parts."""
        key = check_key(request.path_params["key"])
        info = await self._threads.run(self._audio, key)
        told = {
            "Content-Type": content_type(info.location.name) or "application/octet-stream",
            "Content-Security-Policy": _INERT,
        }
        head = request.method == "HEAD"
        return answer(self._site.store, self._threads, info, request.headers, told, head=head)

    def _audio(self, key: str) -> ObjectInfo:
        return self._site.store.stat(open_transcript(self._site.store, self._site.roots, key).address.location)

    async def file(self, request: Request) -> Response:
        """A transcript in one format, with the names of its speakers."""
        key, form = check_key(request.path_params["key"]), request.query_params.get("format", "txt")
        if form not in _offered():
            raise ObjectMissing(f"there is no such format; there are {', '.join(_offered())}")
        content = await self._threads.run(self._file, key, form)
        name = f"{key.rpartition('/')[2]}.{form}"
        return Response(
            content,
            headers={
                "Content-Type": formats()[form].media_type,
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}",
                "Content-Security-Policy": _INERT,
            },
        )

    def _file(self, key: str, form: str) -> bytes:
        opened, names = self._opened(key)
        return opened.render(formats()[form], names)

    def _opened(self, key: str) -> tuple[Opened, SpeakerNames]:
        opened = open_transcript(self._site.store, self._site.roots, key)
        names, _etag = self._site.names.load(key, opened.manifest.job_id)
        return opened, names


def _offered() -> dict[str, str]:
    """Every format that can be downloaded. The page itself is none: as a file it would lose its way to the audio."""
    known = {form: called for form, called in _CALLED.items() if form in formats()}
    return known | {form: form for form in formats() if form not in known and form != "html"}


def _unchanged(request: Request, content: bytes, kind: str) -> Response:
    """A file that may be kept, and is asked about each time: nobody gets the scripts of an older version."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers={**headers, "Content-Type": kind})
