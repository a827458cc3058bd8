"""The JSON that the page's scripts ask for, and what people do: send a file, retry, discard, name speakers."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lfk.core.approaches import APPROACHES
from lfk.core.catalogue import Query, Row, State
from lfk.core.errors import AudioForgotten, LfkError, ObjectMissing
from lfk.core.formats import MANIFEST, formats
from lfk.core.languages import LANGUAGES, MULTI
from lfk.core.location import check_key
from lfk.core.media_types import MEDIA_TYPES
from lfk.core.options import SPEAKER_LIMIT
from lfk.core.speaker_names import MAX_RECORD_BYTES, SpeakerNames
from lfk.roles.catalogue import Snapshot
from lfk.roles.forgotten import Forgotten
from lfk.roles.heartbeat import HubReport
from lfk.roles.opened import Opened, open_transcript
from lfk.web.answers import refusal
from lfk.web.details import Details
from lfk.web.events import Refused, Taken
from lfk.web.guard import session_of
from lfk.web.sessions import COOKIE, SESSION_SECONDS, Sessions
from lfk.web.site import Site
from lfk.web.threads import Threads
from lfk.web.uploads import Reception
from lfk.web.views import pulse_view, row_view

#: Rows that are sent at a time.
_ROWS = 50
_MOST_ROWS = 200
#: Recordings that a page may wait for at a time.
_LOOKS = 20
#: Characters of what is sought.
_TEXT = 200
#: How long a small body may take to arrive.
_BODY_SECONDS = 10.0
_SIGN_IN_BYTES = 4096


class Api:
    """Handlers over one site."""

    def __init__(self, site: Site, sessions: Sessions, threads: Threads, stopping: threading.Event) -> None:
        self._site = site
        self._sessions = sessions
        self._threads = threads
        self._stopping = stopping
        self._forgotten = Forgotten(site.store, site.roots.records)
        self._details = Details(site.store, site.roots)
        self._reception = Reception(threads, site.scratch, site.max_upload, site.room)

    def routes(self) -> list[Route]:
        """Where each is."""
        return [
            Route("/api/session", self.session, methods=["GET"]),
            Route("/api/session", self.sign_in, methods=["POST"]),
            Route("/api/session", self.sign_out, methods=["DELETE"]),
            Route("/api/recordings", self.recordings, methods=["GET"]),
            Route("/api/recordings", self.deposit, methods=["PUT"]),
            Route("/api/looks", self.looks, methods=["GET"]),
            Route("/api/pulse", self.pulse, methods=["GET"]),
            Route("/api/failures/{event}/retry", self.retry, methods=["POST"]),
            Route("/api/failures/{event}", self.discard, methods=["DELETE"]),
            Route("/api/speakers/{key:path}", self.speakers, methods=["GET"]),
            Route("/api/speakers/{key:path}", self.name_speakers, methods=["PUT"]),
            Route("/api/links/{key:path}", self.links, methods=["GET"]),
        ]

    # --- who is there

    async def session(self, request: Request) -> Response:
        """What this visitor may do, and what is offered here."""
        roots = self._site.roots
        cookie = session_of(request.headers)
        signed_in = self._sessions.holds(cookie)
        return JSONResponse(
            {
                "can_sign_in": self._sessions.possible,
                "signed_in": signed_in,
                "word": self._sessions.word(cookie) if signed_in else "",
                "approaches": list(APPROACHES),
                "models": list(roots.catalogue.served_by),
                "approach": roots.default_approach.name,
                "model": roots.default_model,
                "languages": sorted(LANGUAGES),
                "several_languages": MULTI,
                "telling_speakers_apart": [one.name for one in APPROACHES.values() if "diarise" in one.stages],
                "most_speakers": SPEAKER_LIMIT,
                "max_upload": self._site.max_upload,
                "suffixes": sorted(MEDIA_TYPES),
            }
        )

    async def sign_in(self, request: Request) -> Response:
        """A session for whoever shows the token."""
        given = (await _json(request, _SIGN_IN_BYTES)).get("token")
        if not (isinstance(given, str) and self._sessions.is_token(given.strip())):
            return refusal(401, "sign_in", "that is not the token", "ask whoever runs this page for LFK_WEB_TOKEN")
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            self._sessions.begin(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            # TLS ends at a proxy, if anywhere; the browser says how it came.
            secure=request.headers.get("origin", "").startswith("https://"),
        )
        return answer

    async def sign_out(self, _request: Request) -> Response:
        """The cookie goes; it asks for nothing, as nobody gains by signing others out."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    # --- what there is

    async def recordings(self, request: Request) -> Response:
        """A part of the list."""
        asked = request.query_params
        state = asked.get("state", "")
        if state and state not in State._value2member_map_:
            return refusal(
                400, "state", "there is no such state", f"use one of {', '.join(one.value for one in State)}"
            )
        query = Query(
            asked.get("text", "")[:_TEXT],
            State(state) if state else None,
            asked.get("approach", "")[:_TEXT],
            asked.get("model", "")[:_TEXT],
        )
        offset = _number(asked.get("offset"), 0, 10**9)
        limit = max(1, _number(asked.get("limit"), _ROWS, _MOST_ROWS))
        return JSONResponse(await self._threads.run(self._list, query, offset, limit))

    def _list(self, query: Query, offset: int, limit: int) -> dict[str, Any]:
        snapshot = self._site.catalogue.snapshot()
        rows = list(self._site.catalogue.working(iter(snapshot.rows)))
        found = list(query.page(rows, offset, limit + 1))
        counts = {state.value: sum(row.state is state for row in rows) for state in State}
        return {
            "rows": self._views(found[:limit]),
            "more": len(found) > limit,
            "counts": counts,
            "held": len(rows),
            "total": snapshot.total,
        }

    async def looks(self, request: Request) -> Response:
        """A few recordings as they are at this moment."""
        keys = request.query_params.getlist("key")[:_LOOKS]
        return JSONResponse({"rows": await self._threads.run(self._look, keys)})

    def _look(self, keys: list[str]) -> list[dict[str, Any]]:
        found = [row for key in keys if (row := self._site.catalogue.look(check_key(key))) is not None]
        return self._views(found)

    def _views(self, rows: list[Row]) -> list[dict[str, Any]]:
        return [row_view(row, facts) for row, facts in zip(rows, self._details.of(rows), strict=True)]

    async def pulse(self, _request: Request) -> Response:
        """Backlog, speed and hubs."""
        return JSONResponse(await self._threads.run(self._pulse))

    def _pulse(self) -> dict[str, Any]:
        snapshot: Snapshot | None = None
        hubs: tuple[HubReport, ...] | None = None
        # The pulse itself says what is out of reach; the rest of it is still worth telling.
        with suppress(LfkError):
            snapshot, hubs = self._site.catalogue.snapshot(), self._site.catalogue.hubs()
        return pulse_view(self._site.pulse.pulse, snapshot, hubs)

    # --- what people do

    async def deposit(self, request: Request) -> Response:
        """A recording, as the raw body; what the address says besides name, approach and model are job options."""
        asked = dict(request.query_params)
        name, approach, model = (asked.pop(part, "") for part in ("name", "approach", "model"))
        options = {option: value for option, value in asked.items() if value}
        try:
            wish = self._site.depositor.check(name, approach, model, options)
            suffix = wish.name.rpartition(".")[2].lower()
            async with self._reception.received(request, suffix) as path:
                done = await self._threads.run(self._site.depositor.take, path, wish, self._stopping.is_set)
        except LfkError as error:
            self._site.report(Refused(error))
            raise
        self._site.report(Taken(done.size, done.known))
        self._site.catalogue.renew()
        return JSONResponse({"key": done.key, "name": done.name, "known": done.known, "before": done.before}, 201)

    async def retry(self, request: Request) -> Response:
        """Send what failed once more."""
        await self._threads.run(self._site.retry, request.path_params["event"])
        self._site.catalogue.renew()
        return Response(status_code=204)

    async def discard(self, request: Request) -> Response:
        """Forget a failure."""
        await self._threads.run(self._site.discard, request.path_params["event"])
        self._site.catalogue.renew()
        return Response(status_code=204)

    async def speakers(self, request: Request) -> Response:
        """The speakers of a transcript, and how they were named."""
        return JSONResponse(await self._threads.run(self._speakers, check_key(request.path_params["key"])))

    def _speakers(self, key: str) -> dict[str, Any]:
        opened = open_transcript(self._site.store, self._site.roots, key)
        names, etag = self._site.names.load(key, opened.manifest.job_id)
        return {"speakers": list(opened.transcript.speakers), "names": dict(names.names), "seen": etag}

    async def name_speakers(self, request: Request) -> Response:
        """Keep names, if nobody else has given other ones since they were shown."""
        key, given = check_key(request.path_params["key"]), await _json(request, MAX_RECORD_BYTES)
        seen = given.get("seen")
        if not (seen is None or isinstance(seen, str)):
            return refusal(400, "seen", "`seen` is the text that came with the names, or null", "")
        return JSONResponse(await self._threads.run(self._name, key, given.get("names"), seen))

    def _name(self, key: str, given: object, seen: str | None) -> dict[str, Any]:
        opened = open_transcript(self._site.store, self._site.roots, key)
        names = SpeakerNames.given(opened.manifest.job_id, given)
        etag = self._site.names.save(key, names, seen)
        audio = opened.manifest.audio
        try:
            # `lfk forget` may have looked for names before these came.
            self._forgotten.refuse(opened.address.location, modified=audio.modified, sha256=audio.sha256)
        except AudioForgotten:
            self._site.names.drop(key)
            raise
        return {"speakers": list(opened.transcript.speakers), "names": dict(names.names), "seen": etag}

    async def links(self, request: Request) -> Response:
        """Links to the files that work without this page, where the store makes such."""
        return JSONResponse(await self._threads.run(self._links, check_key(request.path_params["key"])))

    def _links(self, key: str) -> dict[str, Any]:
        opened: Opened = open_transcript(self._site.store, self._site.roots, key)
        roots, places = self._site.roots, {"audio": opened.address.location}
        for form in (*opened.manifest.files, MANIFEST):
            if form in formats():
                places[form] = roots.transcripts.join(f"{key}.{form}")
        links = {}
        for form, location in places.items():
            try:
                link = self._site.store.presign(location, seconds=self._site.link_seconds, filename=location.name)
            except ObjectMissing:
                continue
            if link.startswith(("https://", "http://")):
                links[form] = link
        return {"links": links, "seconds": self._site.link_seconds}


async def _json(request: Request, limit: int) -> dict[str, Any]:
    """A small JSON object, whatever else the body may be."""
    headers: Headers = request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadBody("the body is no application/json")
    try:
        data = json.loads(await asyncio.wait_for(_body(request, limit), _BODY_SECONDS))
    except (ValueError, RecursionError, asyncio.TimeoutError) as error:
        raise BadBody("the body is no JSON of the expected size") from error
    if not isinstance(data, dict):
        raise BadBody("the body is no JSON object")
    return data


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ValueError("too long")
    return bytes(body)


class BadBody(LfkError):
    """A body that cannot be read."""

    code = "bad_request"
    hint = "load the page again"


def _number(text: str | None, default: int, most: int) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 12):
        return default
    return min(int(text), most)
