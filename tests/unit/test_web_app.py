"""What the page does: list, upload, names, downloads, failures; asked without a network."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from lfk.brokers.codec import JsonCodec
from lfk.core.addressing import resolve
from lfk.core.errors import StoreUnreachable, UnsupportedFeature
from lfk.core.identity import job_id
from lfk.core.location import Location
from lfk.core.manifest import AudioVersion, Rendering, StoredResult
from lfk.core.transcript import Transcript
from lfk.roles.batches import Batches
from lfk.roles.forgotten import Forgotten
from lfk.roles.results import Results
from lfk.settings import Settings
from lfk.stores.base import SHA256
from lfk.stores.memory import MemoryStore
from lfk.telemetry.page import Page
from lfk.web.details import manifest_facts
from lfk.wiring import open_web
from lfk.wiring.telemetry import Telemetry
from tests.roles.failing import failure_record
from tests.roles.roots import ROOTS
from tests.unit.web_site import KEY, Answer, Visit, visiting

EVENT = "0123456789abcdef" * 2


@pytest.fixture
def visit() -> Iterator[Visit]:
    with visiting() as visit:
        yield visit


def rows(visit: Visit, query: str = "") -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in visit("GET", "/api/recordings", query=query).json["rows"]}


def upload(
    visit: Visit, name: str, data: bytes = b"RIFF", query: str = "approach=simple&model=tiny", **headers: str
) -> Answer:
    return visit.bearing("PUT", "/api/recordings", data, f"name={name}&{query}", **headers)


def answer(visit: Visit, key: str) -> None:
    """What a hub that was asked for nothing but the path's own would have written."""
    info = visit.store.stat(ROOTS.audio.join(key))
    address = resolve(str(info.location), None, ROOTS)
    made_by = {"model": "tiny", "revision": "r"}
    work = job_id(info.metadata[SHA256], address.approach.name, "tiny", "r", {})
    version = AudioVersion(info.etag, info.size, info.metadata[SHA256], info.modified)
    result = StoredResult("e" * 32, work, Transcript("en", 1.0, ()), made_by)
    rendering = Rendering(("json",), timestamps=True, pause=0.5)
    Results(visit.store, ROOTS).publish(key, address, version, result, rendering)


def test_the_list(visit: Visit) -> None:
    visit.store.put(ROOTS.audio.join("simple/base/b/later.wav"), b"RIFF", content_type="audio/wav")
    visit.failures.save(failure_record(EVENT, path="s3://bucket/audio/simple/tiny/gone.wav", at=1_700_000_000_000))
    listed = rows(visit)
    assert listed["talk <1>.wav"]["state"] == "done"
    assert (listed["talk <1>.wav"]["duration"], listed["talk <1>.wav"]["speakers"]) == (2.0, 2)
    assert listed["later.wav"]["state"] == "waiting"
    assert listed["gone.wav"]["failure"]["code"] == "object_missing"  # type: ignore[index]
    assert set(rows(visit, "state=failed")) == {"gone.wav"}
    assert set(rows(visit, "text=TALK+week")) == {"talk <1>.wav"}
    assert set(rows(visit, "approach=simple&model=base")) == {"later.wav"}
    told = visit("GET", "/api/recordings", query="limit=1&offset=1").json
    assert (len(told["rows"]), told["more"], told["total"]) == (1, True, 3)
    assert visit("GET", "/api/recordings", query="state=lost").status == 400
    assert visit("GET", "/api/looks", query=f"key={KEY.replace(' ', '+')}").json["rows"][0]["state"] == "done"


def test_an_outage_is_told_as_one() -> None:
    with visiting() as visit:

        def away(_method: str, _location: object) -> None:
            raise StoreUnreachable("no answer")

        visit.store._on_call = away
        answer = visit("GET", "/api/recordings")
        assert (answer.status, answer.code) == (503, "store_unreachable")
        assert visit("GET", "/api/pulse").status == 200
        assert visit("GET", f"/t/{KEY}").status == 503


def test_an_upload_is_stored_and_referred_to(visit: Visit) -> None:
    answer = upload(visit, "new.wav", query="approach=Diarization&model=BASE")
    assert (answer.status, answer.json) == (
        201, {"key": "diarisation/base/new.wav", "name": "new.wav", "known": False, "before": None},
    )  # fmt: skip
    info = visit.store.stat(ROOTS.audio.join("diarisation/base/new.wav"))
    assert (info.size, info.content_type) == (4, "audio/wav")
    (record,) = visit.broker.snapshot("lfk.audio")
    reference = JsonCodec().decode_reference(record.value)
    assert (reference.path_to_audio, reference.etag) == (str(info.location), info.etag)
    assert reference.transcription_approach == "diarisation.base"


def test_what_is_asked_beyond_the_path_goes_along_and_is_kept_until_it_is_answered(visit: Visit) -> None:
    assert upload(visit, "plain.wav", query="approach=diarisation&model=base&language=").status == 201
    batches = Batches(visit.store, ROOTS.records)
    assert not list(batches.open())
    assert upload(visit, "x.wav", query="approach=diarisation&model=base&language=pt-BR&num_speakers=3").status == 201
    plain, asked = sorted(
        (JsonCodec().decode_reference(record.value) for record in visit.broker.snapshot("lfk.audio")),
        key=lambda reference: len(reference.options),
    )
    assert (plain.language, dict(plain.options), plain.batch_id) == (None, {}, None)
    assert (asked.language, dict(asked.options)) == ("pt-BR", {"num_speakers": "3"})
    (head,) = batches.open()
    assert (head.kind, head.batch_id) == ("web", asked.batch_id)
    ((_name, part),) = batches.parts(head.batch_id)
    assert [entry.reference for entry in part.entries] == [asked]


def test_who_asks_for_something_else_is_told_of_the_transcript_that_is_not_it(visit: Visit) -> None:
    upload(visit, "again.wav")
    answer(visit, "simple/tiny/again.wav")
    same = upload(visit, "again.wav").json
    assert (same["name"], same["known"], same["before"]) == ("again.wav", True, None)
    manifest = visit.store.stat(ROOTS.transcripts.join("simple/tiny/again.wav.json"))
    other = upload(visit, "again.wav", query="approach=simple&model=tiny&language=de").json
    assert (other["name"], other["known"], other["before"]) == ("again.wav", True, manifest.etag)
    row = visit("GET", "/api/looks", query="key=simple/tiny/again.wav").json["rows"][0]
    assert (row["state"], row["etag"]) == ("done", manifest.etag)


def test_the_page_is_told_what_it_may_offer(visit: Visit) -> None:
    told = visit("GET", "/api/session").json
    assert {"en", "de", "yue"} < set(told["languages"])
    assert told["telling_speakers_apart"] == ["diarisation"]
    for language in (*told["languages"], told["several_languages"]):
        asked = f"approach=diarisation&model=tiny&language={language}&num_speakers={told['most_speakers']}"
        assert upload(visit, "x.exe", query=asked).code == "invalid_location", "only the name is refused"


def test_files_of_one_name_do_not_overwrite_each_other(visit: Visit) -> None:
    first, again, other, third = (upload(visit, "x.wav", data) for data in (b"one", b"one", b"two", b"three"))
    assert (again.json["key"], again.json["known"]) == (first.json["key"], True)
    assert [other.json["name"], third.json["name"]] == ["x-2.wav", "x-3.wav"]
    assert visit.store.read(ROOTS.audio.join("simple/tiny/x.wav"), limit=10)[0] == b"one"
    assert visit.store.read(ROOTS.audio.join("simple/tiny/x-3.wav"), limit=10)[0] == b"three"


@pytest.mark.parametrize(
    ("name", "data", "query", "status", "code"),
    [
        ("x.exe", b"RIFF", "approach=simple&model=tiny", 400, "invalid_location"),
        ("x", b"RIFF", "approach=simple&model=tiny", 400, "invalid_location"),
        (".hidden.wav", b"RIFF", "approach=simple&model=tiny", 400, "invalid_location"),
        (f"{'n' * 250}.wav", b"RIFF", "approach=simple&model=tiny", 400, "invalid_location"),
        ("x.wav", b"RIFF", "approach=opera&model=tiny", 400, "unknown_approach"),
        ("x.wav", b"RIFF", "approach=simple&model=gigantic", 400, "unknown_model"),
        ("x.wav", b"RIFF", "approach=simple&model=tiny&language=klingon", 400, "invalid_option"),
        ("x.wav", b"RIFF", "approach=diarisation&model=tiny&num_speakers=0", 400, "invalid_option"),
        ("x.wav", b"RIFF", "approach=diarisation&model=tiny&num_speakers=2&min_speakers=1", 400, "invalid_option"),
        ("x.wav", b"RIFF", "approach=simple&model=tiny&hotwords=%3C%7Ctranslate%7C%3E", 400, "invalid_option"),
        ("x.wav", b"RIFF", "approach=simple&model=tiny&path_to_audio=s3://other/x", 400, "invalid_option"),
        ("x.wav", b"R" * 10_001, "approach=simple&model=tiny", 413, "audio_too_large"),
        ("x.wav", b"", "approach=simple&model=tiny", 400, "invalid_location"),
    ],
)
def test_uploads_that_are_refused(visit: Visit, name: str, data: bytes, query: str, status: int, code: str) -> None:
    before = len(visit.store._objects)
    answer = upload(visit, name, data, query)
    assert (answer.status, answer.code) == (status, code)
    assert len(visit.store._objects) == before


def test_an_upload_says_how_long_it_is_and_is_that_long(visit: Visit) -> None:
    for length, code in (("0", "audio_empty"), ("-1", "invalid_location"), ("4x", "invalid_location"),
                         ("9" * 30, "audio_too_large"), ("100", "incomplete")):  # fmt: skip
        answer = upload(visit, "x.wav", b"RIFF", **{"content-length": length})
        assert answer.code == code, length


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("..%2F..%2Fx.wav", "x.wav"),
        ("C%3A%5Cmusic%5Cx.wav", "x.wav"),
        ("%3Cimg%20src%3Dx%3E.wav", "<img src=x>.wav"),
        ("a%E2%80%AEvaw.wav", "avaw.wav"),
        ("a%0Ab.wav", "a b.wav"),
        ("%D8%AF%D8%B1%D8%B3.wav", "درس.wav"),
        ("100%25%20%2B%23%3F.wav", "100% +#?.wav"),
    ],
)
def test_names_are_names_and_nothing_else(visit: Visit, name: str, kept: str) -> None:
    assert upload(visit, name).json == {"key": f"simple/tiny/{kept}", "name": kept, "known": False, "before": None}


def test_speakers_are_named_and_shown_so(visit: Visit) -> None:
    told = visit("GET", f"/api/speakers/{KEY}").json
    assert told == {"speakers": ["SPEAKER_00", "SPEAKER_01"], "names": {}, "seen": None}

    def name(names: object, seen: str | None) -> Answer:
        body = json.dumps({"names": names, "seen": seen}).encode()
        return visit.bearing("PUT", f"/api/speakers/{KEY}", body, **{"content-type": "application/json"})

    before = visit.store.read(ROOTS.transcripts.join(f"{KEY}.json"), limit=1 << 20)[0]
    kept = name({"SPEAKER_00": "  <b>Zoë</b>\u202e ", "SPEAKER_01": ""}, None)
    assert (kept.status, kept.json["names"]) == (200, {"SPEAKER_00": "<b>Zoë</b>"})
    page = visit("GET", f"/t/{KEY}").body.decode()
    assert "&lt;b&gt;Zoë&lt;/b&gt;" in page
    assert "<b>Zoë" not in page
    assert "SPEAKER_00" not in page
    srt = visit("GET", f"/files/{KEY}", query="format=srt")
    assert "[<b>Zoë</b>]: Hello" in srt.body.decode()
    assert srt.headers["content-disposition"] == "attachment; filename*=UTF-8''talk%20%3C1%3E.wav.srt"
    assert "<v &lt;b&gt;Zoë&lt;/b&gt;>Hello" in visit("GET", f"/files/{KEY}", query="format=vtt").body.decode()
    words = visit("GET", f"/files/{KEY}", query="format=json").json
    assert words["segments"][0]["words"][0]["speaker"] == "<b>Zoë</b>"
    assert words["lfk"]["job_id"] == "job"
    assert [turn["speaker"] for turn in words["lfk"]["turns"]] == ["<b>Zoë</b>", "SPEAKER_01"]
    # Somebody who had not seen these names does not replace them; the transcript itself is as it was.
    assert name({"SPEAKER_00": "Anna"}, None).status == 412
    assert name({"SPEAKER_00": "Anna"}, kept.json["seen"]).status == 200
    assert visit.store.read(ROOTS.transcripts.join(f"{KEY}.json"), limit=1 << 20)[0] == before
    for names in ([], {"SPEAKER_00": 7}, {"SPEAKER_00": "n" * 61}, {f"s{n}": "x" for n in range(101)}):
        assert name(names, None).status == 400


def test_names_that_come_while_the_recording_is_forgotten_do_not_stay(visit: Visit) -> None:
    audio = ROOTS.audio.join(KEY)

    def meanwhile(method: str, location: Location) -> None:
        if method == "put" and location.key.startswith(".lfk/speakers/"):
            visit.store._on_call = None
            Forgotten(visit.store, ROOTS.records).keep(audio, [])

    visit.store._on_call = meanwhile
    body = json.dumps({"names": {"SPEAKER_00": "Zoë"}, "seen": None}).encode()
    answer = visit.bearing("PUT", f"/api/speakers/{KEY}", body, **{"content-type": "application/json"})
    assert (answer.status, answer.code) == (410, "audio_forgotten")
    assert not list(visit.store.list(ROOTS.records.join("speakers").as_prefix()))


def test_nobody_is_sent_elsewhere(visit: Visit) -> None:
    """Not even for a slash too many: a proxy's https would become http, with the token in what is sent again."""
    assert visit("GET", "/api/session/").status == 404
    assert visit.bearing("PUT", "/api/recordings/", b"RIFF", "name=x.wav").status == 404


def test_downloads_are_what_the_hub_wrote(visit: Visit) -> None:
    for form in ("txt", "srt"):
        stored = visit.store.read(ROOTS.transcripts.join(f"{KEY}.{form}"), limit=1 << 20)[0]
        assert visit("GET", f"/files/{KEY}", query=f"format={form}").body == stored
    assert visit("GET", f"/files/{KEY}", query="format=html").status == 404


def test_the_transcripts_page(visit: Visit) -> None:
    page = visit("GET", f"/t/{KEY}").body.decode()
    assert "talk &lt;1&gt;.wav" in page
    assert 'data-audio="/audio/diarisation/tiny/week%201/talk%20%3C1%3E.wav"' in page
    assert "&lt;you&gt;" in page
    assert "<script>" not in page
    assert "style=" not in page
    missing = visit("GET", "/t/simple/tiny/<script>.wav")
    assert missing.status == 404
    assert "<script>" not in missing.body.decode()


def test_failures_are_sent_again_and_discarded(visit: Visit) -> None:
    visit.failures.save(failure_record(EVENT))
    assert visit.bearing("POST", f"/api/failures/{EVENT}/retry").status == 204
    assert visit.retried == [EVENT]
    assert visit.bearing("POST", f"/api/failures/{'0' * 32}/retry").status == 404
    assert visit.bearing("DELETE", f"/api/failures/{EVENT}").status == 204
    assert visit.failures.events() == []


def test_a_manifest_is_known_by_its_beginning() -> None:
    text = '{"language":"en","lfk":{"duration":2.5,"language":"en","speakers":true,"words":1e400,"x":[1]},"segments":['
    assert manifest_facts(text.encode()) == {"duration": 2.5, "language": "en", "speakers": True}
    for head in (b"", b"{", text[:40].encode(), b'{"lfk":[1]}', b"\xff" * 50, b'{"lfk":' + b"[" * 50_000):
        assert manifest_facts(head) == {}


def test_parts_of_the_page_are_asked_about_each_time(visit: Visit) -> None:
    for path in ("/", "/static/app.js", "/static/page.css", "/static/icon.svg"):
        answer = visit("GET", path)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
        assert visit("GET", path, headers={"if-none-match": answer.headers["etag"]}).status == 304
    for name in ("nothing.js", "../app.py", "index.html", "page.html"):
        assert visit("GET", f"/static/{name}").status == 404


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lfk.web.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with (
        pytest.raises(UnsupportedFeature, match="uvicorn") as refused,
        open_web(Settings(), MemoryStore(), Telemetry(Page("1"), None)),
    ):
        pass
    assert "lfk[web]" in refused.value.hint
