"""``lfk web`` as people and machines use it: a real browser over a folder, and plain HTTP over MinIO and Kafka."""

from __future__ import annotations

import base64
import io
import json
import socket
import urllib.request
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lfk.core.batch import read_part
from tests.acceptance.command import Lfk
from tests.acceptance.test_bad_input import one_line
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.acceptance.web import TOKEN, Web, serving
from tests.services.s3 import S3Server
from tests.waiting import wait_until

expect.set_options(timeout=30_000)

HOSTILE = "<img src=x onerror=alert(1)> \"'&amp;.wav"
LEFTWARD = "مقابلة مع الأستاذ الجديد في المدرسة.wav"
LONG = f"{'a very long name without any end ' * 6}.wav"[-200:]


def sound(number: int, seconds: float = 3.0) -> bytes:
    """A quiet wav file like no other number's."""
    whole = io.BytesIO()
    with wave.open(whole, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(8000)
        audio.writeframes(bytes([number, 0]) * int(8000 * seconds))
    return whole.getvalue()


@pytest.fixture(scope="module")
def lfk(tmp_path_factory: pytest.TempPathFactory) -> Lfk:
    folder = tmp_path_factory.mktemp("web")
    return Lfk(folder, LFK_STORE="store", LFK_ENGINE="canned", LFK_CANNED_SECONDS="0.6", LFK_WEB_TOKEN=TOKEN)


@pytest.fixture(scope="module")
def web(lfk: Lfk) -> Iterator[Web]:
    """A page and a hub over a folder."""
    (lfk.folder / "store").mkdir()
    with serving(lfk) as web, lfk.running("hub", "--workers", "1"):
        wait_until(lambda: web.ask("GET", "/api/pulse").json["hubs"])
        yield web


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


class Watched:
    """A tab and everything that it complained of."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        self.page.on("console", lambda told: told.type == "error" and self.problems.append(told.text))


@pytest.fixture
def desk(browser: Browser) -> Iterator[Watched]:
    watched = Watched(browser, viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    yield watched
    watched.context.close()


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.locator("#visitor").get_by_role("button", name="Sign in").click()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#drop-writable")).to_be_visible()


def drop(page: Page, name: str, data: bytes) -> None:
    """What a browser tells a page when somebody drops a file onto it."""
    transfer = page.evaluate_handle(
        """([name, data]) => {
            const all = new DataTransfer();
            all.items.add(new File([Uint8Array.from(atob(data), (char) => char.charCodeAt(0))], name));
            return all;
        }""",
        [name, base64.b64encode(data).decode("ascii")],
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("main", kind, {"dataTransfer": transfer})


@pytest.mark.slow
def test_a_dropped_file_becomes_a_transcript(web: Web, lfk: Lfk, desk: Watched) -> None:
    page = desk.page
    page.goto(web.url)
    expect(page.locator("#drop-readonly")).to_contain_text("to add recordings")
    drop(page, "interview.wav", sound(1))
    page.get_by_label("Token").fill("not the token")
    page.keyboard.press("Enter")
    expect(page.locator("#wrong")).to_contain_text("that is not the token")
    assert desk.problems == ["Failed to load resource: the server responded with a status of 401 (Unauthorized)"]
    desk.problems.clear()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.locator("#approach").select_option("diarisation")

    drop(page, "interview.wav", sound(1))
    drop(page, "notes.txt", b"text")
    expect(page.locator("#sending .failed")).to_contain_text(".txt is not the name of a recording")
    done = page.locator("#sending .done")
    expect(done).to_contain_text("transcribed")
    expect(page.locator("#rows .row.done")).to_contain_text("2 speakers")

    done.get_by_role("link", name="interview.wav").click()
    play_and_name(page)
    with page.expect_download() as download:
        page.get_by_text("Download", exact=True).click()
        page.get_by_role("link", name="Subtitles (srt)").click()
    assert download.value.suggested_filename == "interview.wav.srt"
    assert "[<Zoë>]: " in Path(download.value.path()).read_text("utf-8")
    stored = (lfk.folder / "store/transcripts/diarisation/tiny/interview.wav.srt").read_text("utf-8")
    assert "SPEAKER_00" in stored
    assert "Zoë" not in stored
    assert desk.problems == []


def play_and_name(page: Page) -> None:
    """On a transcript's page: a word is played from, and the first speaker gets a name."""
    expect(page.locator("#player:not(.waiting)")).to_be_visible()
    word = page.locator("[data-t]").nth(4)
    word.click()
    wait_until(lambda: page.evaluate("!media.paused && media.currentTime > 0"))
    expect(page.locator("p .now")).to_have_count(1)
    assert page.evaluate("media.currentSrc").endswith("/audio/diarisation/tiny/interview.wav")
    page.keyboard.press(" ")
    wait_until(lambda: page.evaluate("media.paused"))

    page.get_by_role("button", name="Name speakers").click()
    page.get_by_label("SPEAKER_00").fill("<Zoë>")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h2.who").first).to_contain_text("<Zoë>")
    expect(page.locator(".speakers")).to_contain_text("<Zoë>")


@pytest.mark.slow
def test_language_and_speakers_are_asked_for_by_hand_on_a_phone(web: Web, lfk: Lfk, browser: Browser) -> None:
    phone = Watched(browser, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = phone.page
    sign_in(page, web.url)
    page.locator("#approach").select_option("simple")
    expect(page.get_by_label("Speakers")).to_be_hidden()
    page.locator("#approach").select_option("diarisation")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("combobox", name="Language").select_option(label="German")
    # What cannot be is told before anything is sent.
    page.get_by_label("Speakers").fill("0")
    page.locator("#files").set_input_files({"name": "panel.wav", "mimeType": "audio/wav", "buffer": sound(3)})
    expect(page.locator("#speakers:invalid")).to_be_focused()
    expect(page.locator("#sending li")).to_have_count(0)
    page.get_by_label("Speakers").fill("3")
    page.locator("#files").set_input_files({"name": "panel.wav", "mimeType": "audio/wav", "buffer": sound(3)})
    expect(page.locator("#sending .done")).to_contain_text("transcribed")
    manifest = lfk.folder / "store/transcripts/diarisation/tiny/panel.wav.json"
    first = json.loads(manifest.read_bytes())["lfk"]
    assert first["language"] == "de"
    (recorded,) = (lfk.folder / "store/.lfk/batches").glob("*/parts/*.json")
    (entry,) = read_part(recorded.read_bytes()).entries
    assert (entry.reference.language, dict(entry.reference.options)) == ("de", {"num_speakers": "3"})
    # Later, the same file asked for in another way is followed to its own end, not to the transcript that is there.
    page.reload()
    page.locator("#approach").select_option("diarisation")
    page.get_by_role("combobox", name="Language").select_option(label="French")
    page.locator("#files").set_input_files({"name": "panel.wav", "mimeType": "audio/wav", "buffer": sound(3)})
    expect(page.locator("#sending .done")).to_contain_text("was here already; transcribed")
    second = json.loads(manifest.read_bytes())["lfk"]
    assert second["language"] == "fr"
    assert phone.problems == []
    phone.context.close()


@pytest.mark.slow
def test_a_failure_is_seen_and_sent_again(web: Web, lfk: Lfk, desk: Watched) -> None:
    expect_ok(lfk("submit", "simple/tiny/late.wav", "--trust"))
    page = desk.page
    page.goto(web.url)
    row = page.locator("#rows .row", has_text="late.wav")
    expect(row.locator(".pill")).to_have_text("Failed")
    expect(row.locator(".why")).to_contain_text("object_missing")
    expect(row.get_by_role("button")).to_have_count(0)

    sign_in(page, web.url)
    page.get_by_role("group", name="State").get_by_role("button", name="Failed").click()
    expect(page.locator("#rows .row.done")).to_have_count(0)
    late = lfk.folder / "store/audio/simple/tiny/late.wav"
    late.parent.mkdir(parents=True, exist_ok=True)
    late.write_bytes(sound(2))
    row.get_by_role("button", name="Retry").click()
    page.get_by_role("group", name="State").get_by_role("button", name="All").click()
    expect(row.locator(".pill")).to_have_text("Done")
    wait_until(lambda: not list((lfk.folder / "store/.lfk").glob("failed/*")))
    assert desk.problems == []


@pytest.mark.slow
def test_any_name_on_any_screen(web: Web, browser: Browser) -> None:
    for number, name in enumerate((HOSTILE, LEFTWARD, LONG), 10):
        assert web.upload(name, sound(number, 0.2)).status == 201
    wait_until(lambda: all(web.rows()[name]["state"] == "done" for name in (HOSTILE, LEFTWARD, LONG)))
    for width, scheme in ((360, "dark"), (1200, "light")):
        watched = Watched(browser, viewport={"width": width, "height": 740}, color_scheme=scheme, has_touch=width < 600)
        page = watched.page
        sign_in(page, web.url)
        for name in (HOSTILE, LEFTWARD, LONG):
            expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#rows img").count() == 0
        # By keyboard alone: search, then on to the only row and into it.
        page.keyboard.press("/")
        page.keyboard.type("ONERROR")
        expect(page.locator("#rows .row")).to_have_count(1)
        page.get_by_role("link", name=HOSTILE, exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(HOSTILE)
        expect(page.locator("#player:not(.waiting)")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.go_back()
        page.get_by_label("Search names").fill("nothing is called that")
        expect(page.locator("#empty")).to_contain_text("Nothing here matches")
        assert watched.problems == []
        watched.context.close()


def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    done = Lfk(tmp_path, LFK_STORE="store", LFK_WEB_TOKEN="short")("web", "--bind", "127.0.0.1:0")
    assert "LFK_WEB_TOKEN" in one_line(done, 2, "usage")


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = Lfk(tmp_path, LFK_STORE="store")("web", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
    one_line(done, 2, "usage")


def fetched(link: str) -> bytes:
    """What a link gives to somebody who has nothing else."""
    with urllib.request.urlopen(link) as answer:  # noqa: S310 - a link of the tests' own server
        content: bytes = answer.read()
    return content


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_on_kafka_and_s3(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> None:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk.environ = {**lfk.environ, "LFK_WEB_TOKEN": TOKEN}
    expect_ok(lfk("init"))
    with serving(lfk) as web, lfk.running("hub", "--workers", "1"):
        # Several people at once, with one name: identical files are one, others are kept apart.
        contents = [sound(n % 3, 40.0) for n in range(6)]
        with ThreadPoolExecutor(4) as pool:
            told = [
                reply.json for reply in pool.map(lambda data: web.upload("talk.wav", data, "diarisation"), contents)
            ]
        assert {one["name"] for one in told} == {"talk.wav", "talk-2.wav", "talk-3.wav"}
        for one, data in zip(told, contents, strict=True):
            client = minio.client()
            stored = client.get_object(Bucket=minio_bucket, Key=f"lfk/audio/{one['key']}")["Body"].read()
            assert stored == data
        wait_until(lambda: all(web.look(one["key"])["state"] == "done" for one in told))

        key, data = told[0]["key"], contents[0]
        part = web.ask("GET", f"/audio/{quote(key)}", Range="bytes=600000-")
        assert (part.status, part.body) == (206, data[600_000:])
        links = web.ask("GET", f"/api/links/{quote(key)}").json["links"]
        assert fetched(links["audio"]) == data
        assert b"-->" in fetched(links["srt"])

        path, kind = f"/api/speakers/{quote(key)}", "application/json"
        names = [json.dumps({"names": {"SPEAKER_00": name}, "seen": None}).encode() for name in ("Ada", "Bob")]
        first, second = (web.ask("PUT", path, body, Content_Type=kind) for body in names)
        assert (first.status, second.status) == (200, 412)
        assert web.ask("GET", path).json["names"] == {"SPEAKER_00": "Ada"}

        expect_ok(lfk("submit", "simple/tiny/late.wav", "--trust"))
        failed = wait_until(lambda: web.rows().get("late.wav"))["failure"]
        minio.client().put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/late.wav", Body=sound(9))
        assert web.ask("POST", f"/api/failures/{failed['event']}/retry").status == 204
        wait_until(lambda: web.look("simple/tiny/late.wav")["state"] == "done")
        assert web.ask("POST", f"/api/failures/{failed['event']}/retry").status in (204, 404)
        wait_until(lambda: sum(web.ask("GET", "/api/pulse").json["finished"] or ()) == 4)
        pulse = web.ask("GET", "/api/pulse").json
        assert (pulse["error"], pulse["broker"]) == (None, True)
