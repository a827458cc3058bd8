"""The page in a real browser: from a disk, beside a web address, with hostile addresses, and without scripts."""

from __future__ import annotations

import functools
import http.server
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from lfk.core.approaches import APPROACHES
from lfk.core.formats import Page, formats
from tests.golden.cases import CASES, LONG, lesson, page
from tests.integration.headless import Browser

PLAYING = "document.getElementById('media')"
LOADED = f"{PLAYING}.readyState > 0"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with Browser(chromium) as running:
        yield running


@pytest.fixture(autouse=True)
def _desktop(browser: Browser) -> None:
    browser.screen(1200, 800)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page for each case with a recording beside those of the lesson."""
    place = tmp_path_factory.mktemp("pages")
    with wave.open(str(place / "lesson1.mp4"), "wb") as sound:  # browsers look at the content, not the name
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(bytes(128 + at % 16 for at in range(8000 * 24)))
    (place / "other name.wav").write_bytes((place / "lesson1.mp4").read_bytes())
    for name, make in {**CASES, **LONG}.items():
        (place / f"{name}.html").write_bytes(formats()["html"].render(make()))
    alone = Page(lesson(), APPROACHES["diarisation"], "absent & away.wav", True)
    (place / "alone.html").write_bytes(formats()["html"].render(alone))
    return place


@pytest.fixture(scope="module")
def web(folder: Path) -> Iterator[str]:
    """The folder, served on a port of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _now(browser: Browser) -> float:
    return float(browser.evaluate(f"{PLAYING}.currentTime"))


def test_a_click_on_a_word_plays_from_there(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/diarisation.html")
    browser.wait(LOADED)
    browser.click("[data-t^='10'] ")
    start = float(browser.evaluate("document.querySelector('[data-t^=\"10\"]').dataset.t.split(' ')[0]")) / 1000
    browser.wait(f"!{PLAYING}.paused")
    browser.wait(f"{PLAYING}.currentTime > {start}")
    assert start <= _now(browser) < start + 5
    browser.wait("document.querySelector('p .now')")
    assert browser.evaluate("document.querySelectorAll('p .now').length") == 1
    browser.press(" ")
    browser.wait(f"{PLAYING}.paused")
    assert browser.problems == []


def test_words_are_marked_as_they_are_said(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/diarisation.html")
    browser.wait(LOADED)
    for at, spelling in ((1.25, "Good"), (9.45, "A"), (15.15, "And")):
        browser.evaluate(f"{PLAYING}.currentTime = {at}")
        browser.wait(f"document.querySelector('p .now')?.textContent === '{spelling}'")
    assert browser.evaluate("document.querySelector('.block.now').dataset.speaker") == "SPEAKER_01"


def test_keys(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/diarisation.html")
    browser.wait(LOADED)
    browser.press("ArrowRight")
    browser.wait(f"{PLAYING}.currentTime === 5")
    browser.press("ArrowLeft")
    browser.wait(f"{PLAYING}.currentTime === 0")
    browser.press("ArrowRight", shift=True)
    browser.press("ArrowRight", shift=True)
    browser.wait(f"{PLAYING}.currentTime === 15.1")
    browser.press("ArrowLeft", shift=True)
    browser.wait(f"{PLAYING}.currentTime === 1.2")
    browser.press("/")
    browser.type("a")
    browser.press(" ")
    assert browser.evaluate(f"{PLAYING}.paused") is True


def test_search_goes_across_words_and_round(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/diarisation.html")
    browser.press("/")
    browser.type("THE  méssage th")
    found = "[...document.querySelectorAll('.hit')].map(node => node.textContent)"
    assert browser.evaluate(found) == ["the", "message", "that"]
    browser.evaluate("document.getElementById('find').value = ''")
    browser.type("coat")
    tally = "document.getElementById('tally').textContent"
    assert browser.evaluate(tally) == "1 of 2"
    browser.press("Enter")
    browser.press("Enter")
    assert browser.evaluate(tally) == "1 of 2"
    browser.press("Enter", shift=True)
    assert browser.evaluate("document.querySelector('.found').textContent") == "coat;"
    browser.press("Escape")
    assert browser.evaluate("document.querySelectorAll('.hit, .mark').length") == 0
    browser.press("/")
    browser.type("<b>")
    assert browser.evaluate(tally) == "not found"


def test_search_in_chinese_and_arabic(browser: Browser, folder: Path) -> None:
    for name, sought, first in (("unspaced", "衣帽间", "衣"), ("leftward", "الدرس الأول", "الدرس")):
        browser.open(f"{folder.as_uri()}/{name}.html")
        browser.press("/")
        browser.type(sought)
        assert browser.evaluate("document.querySelector('.found').textContent") == first


def test_one_speaker_can_be_brought_out(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/diarisation.html")
    browser.click("button[data-speaker='SPEAKER_01']")
    assert browser.evaluate("document.querySelectorAll('.faded').length") == 2
    browser.click("button[data-speaker='SPEAKER_01']")
    assert browser.evaluate("document.querySelectorAll('.faded').length") == 0


def test_a_recording_that_is_not_there_can_be_chosen(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/alone.html")
    browser.wait("document.querySelector('.waiting')")
    assert "absent & away.wav" in browser.evaluate("document.getElementById('say').textContent")
    browser.click("[data-t^='10']")
    browser.choose("#file", folder / "other name.wav")
    browser.wait(f"{LOADED} && !document.querySelector('.waiting')")
    browser.wait(f"{PLAYING}.currentTime > 9 && !{PLAYING}.paused")


def test_a_file_can_be_dropped(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/alone.html")
    browser.wait("document.querySelector('.waiting')")
    browser.evaluate(
        "(() => { const rate = 8000, size = rate, view = new DataView(new ArrayBuffer(44 + size));"
        " const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));"
        " text(0, 'RIFF'); view.setUint32(4, 36 + size, true); text(8, 'WAVEfmt '); view.setUint32(16, 16, true);"
        " view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true);"
        " view.setUint32(28, rate, true); view.setUint16(32, 1, true); view.setUint16(34, 8, true);"
        " text(36, 'data'); view.setUint32(40, size, true); const all = new DataTransfer();"
        " all.items.add(new File([view], 'x.wav')); for (const kind of ['dragenter', 'dragover', 'drop'])"
        " document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: all, bubbles: true, cancelable: true})); })()"
    )
    browser.wait(f"{LOADED} && {PLAYING}.duration === 1")
    assert browser.evaluate("document.body.classList.contains('dropping')") is False


@pytest.mark.parametrize("form", ["#audio={raw}", "#t=9.5&audio={raw}", "?audio={quoted}", "#audio={quoted}"])
def test_the_address_may_name_a_presigned_link(browser: Browser, folder: Path, web: str, form: str) -> None:
    link = f"{web}/lesson1.mp4?X-Amz-Signature=a%2Bb&X-Amz-Expires=60"
    browser.open(f"{folder.as_uri()}/alone.html" + form.format(raw=link, quoted=quote(link, safe="")))
    browser.wait(LOADED)
    assert browser.evaluate(f"{PLAYING}.currentSrc") == link
    assert _now(browser) == (9.5 if "t=9.5" in form else 0)
    assert browser.problems == []


def test_from_a_web_server_with_the_recording_beside(browser: Browser, web: str) -> None:
    browser.open(f"{web}/alone.html#audio=other%20name.wav")
    browser.wait(LOADED)
    assert browser.evaluate(f"{PLAYING}.currentSrc") == f"{web}/other%20name.wav"


@pytest.mark.parametrize(
    "link",
    ["javascript:document.title='broken'", "data:audio/wav;base64,AAAA", "blob:null/1", "JaVaScRiPt://x/%0aalert(1)"],
)
def test_other_addresses_are_refused(browser: Browser, folder: Path, link: str) -> None:
    for form in (f"#audio={link}", f"?audio={quote(link, safe='')}"):
        browser.open(f"{folder.as_uri()}/diarisation.html{form}")
        browser.wait("document.querySelector('.waiting')")
        assert browser.evaluate(f"{PLAYING}.getAttribute('src')") is None
        assert browser.evaluate("document.title") == "lesson1.mp4 · transcript"


def test_hostile_text_stays_text(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/hostile.html")
    browser.wait("document.body.classList.contains('ready')")
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.querySelector('[data-t]').textContent") == "<script>alert(1)</script>"
    assert not [problem for problem in browser.problems if "ERR_FILE_NOT_FOUND" not in problem]


def test_the_policy_stops_scripts_that_are_not_the_pages(browser: Browser, folder: Path) -> None:
    broken = folder / "broken.html"
    text = (folder / "diarisation.html").read_text("utf-8")
    broken.write_text(text.replace("</main>", "<script>document.title='broken'</script></main>"), "utf-8")
    browser.open(broken.as_uri())
    assert browser.evaluate("document.title") == "lesson1.mp4 · transcript"
    assert any("Content Security Policy" in problem for problem in browser.problems)


def test_readable_without_scripts(browser: Browser, folder: Path) -> None:
    browser.screen(1200, 800, scripts=False)
    browser.open(f"{folder.as_uri()}/diarisation.html")
    browser.screen(1200, 800)
    assert browser.evaluate("document.querySelector('main').innerText").startswith("SPEAKER_00")
    assert browser.evaluate("getComputedStyle(document.getElementById('player')).display") == "none"
    assert browser.evaluate("document.querySelector('.keys').checkVisibility()") is False


@pytest.mark.parametrize("case", sorted(CASES))
def test_nothing_is_wider_than_a_phone(browser: Browser, folder: Path, case: str) -> None:
    browser.screen(360, 740)
    browser.open(f"{folder.as_uri()}/{case}.html")
    browser.wait("document.body.classList.contains('ready')")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    wide = "[...document.querySelectorAll('.controls > *')].filter(n => n.getBoundingClientRect().right > 360).length"
    assert browser.evaluate(wide) == 0


def test_an_hour_is_ready_soon(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/hour.html")
    browser.wait("document.body.classList.contains('ready')")
    took = browser.evaluate(
        "(() => { const began = performance.now(); const find = document.getElementById('find');"
        " find.value = 'coat hangs'; find.dispatchEvent(new Event('input')); return performance.now() - began })()"
    )
    assert took < 3000
    assert "of" in browser.evaluate("document.getElementById('tally').textContent")


def test_where_the_page_says_the_recording_is(browser: Browser, folder: Path) -> None:
    told = page("simple", lesson(), "absent.wav")
    there = Page(told.transcript, told.approach, told.title, told.timestamps, audio_href="../pages name/a#1.wav")
    (folder / "astray.html").write_bytes(
        formats()["html"].render(Page(told.transcript, told.approach, "lesson1.mp4", True, audio_href="../gone.wav"))
    )
    browser.open(f"{folder.as_uri()}/astray.html")
    browser.wait(LOADED)
    assert browser.evaluate(f"{PLAYING}.currentSrc").endswith("/lesson1.mp4")
    elsewhere = folder.parent / "pages name"
    elsewhere.mkdir()
    (elsewhere / "a#1.wav").write_bytes((folder / "lesson1.mp4").read_bytes())
    (folder / "told.html").write_bytes(formats()["html"].render(there))
    browser.open(f"{folder.as_uri()}/told.html")
    browser.wait(LOADED)
    assert browser.problems == []


def test_reading_elsewhere_stops_the_page_from_following(browser: Browser, folder: Path) -> None:
    browser.open(f"{folder.as_uri()}/diarisation.html#t=9.5")
    browser.wait(f"{LOADED} && {PLAYING}.currentTime === 9.5")
    browser.click("#play")
    shown = "document.getElementById('follow').checkVisibility()"
    browser.wait(f"!{PLAYING}.paused && !{shown}")
    browser.evaluate("void dispatchEvent(new WheelEvent('wheel'))")
    browser.wait(shown)
    browser.click("#follow")
    browser.wait(f"!{shown}")


def test_a_video_shows_its_picture_and_a_sound_none(browser: Browser, folder: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(folder / "picture.mp4"), "w") as made:
        stream = made.add_stream("mpeg4" if "libx264" not in av.codecs_available else "libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            made.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        made.mux(stream.encode())
    browser.open(f"{folder.as_uri()}/diarisation.html#audio=picture.mp4")
    browser.wait(LOADED)
    assert browser.evaluate(f"{PLAYING}.checkVisibility()") is True
    browser.open(f"{folder.as_uri()}/diarisation.html")
    browser.wait(LOADED)
    assert browser.evaluate(f"{PLAYING}.checkVisibility()") is False
