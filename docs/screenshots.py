"""Take the pictures of docs/web.md anew: the real engine on the bundled speech, in a headless Chromium.

python docs/screenshots.py [FOLDER]        FOLDER: docs/images, unless another is named

Needs what `make venv` and `make services` install. Takes a few minutes on a small machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SPEECH = ROOT / "lfk/demo/speech"
TOKEN = "the token of these pictures"  # noqa: S105 - of nothing that is reached from elsewhere
#: Where each recording lies in the folder that is watched.
RECORDINGS = {
    "conversation.flac": "diarisation/tiny/interviews/conversation with the teacher.flac",
    "sense-and-sensibility-1.flac": "segmentation/tiny/audiobooks/sense and sensibility 1.flac",
    "sense-and-sensibility-2.flac": "simple/tiny/audiobooks/sense and sensibility 2.flac",
}
_SECONDS = 150.0
_PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
_DESK = {"viewport": {"width": 1180, "height": 1000}}


def main() -> None:
    """Take all of them."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images"
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        fill(folder / "recordings")
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--mute-audio"])
        with running(folder, "up", "recordings", "--workers", "1"), running(folder, "web", "--json") as web:
            take(browser, f"http://{json.loads(web.readline())['address']}", target)
        browser.close()


def fill(recordings: Path) -> None:
    """Recordings, and a file that is none."""
    for name, place in RECORDINGS.items():
        path = recordings / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SPEECH / name, path)
    (recordings / "simple/tiny/interviews").mkdir()
    (recordings / "simple/tiny/interviews/lunch break.mp3").write_bytes(b"nothing that anybody has recorded" * 40)


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Any]:
    """A command on the store of these pictures, for as long as the block lasts; its output."""
    given = {"LFK_STORE": "store", "LFK_WEB": "127.0.0.1:0", "LFK_WEB_TOKEN": TOKEN, "XDG_STATE_HOME": "state"}
    environ = {**os.environ, **given, "PYTHONPATH": str(ROOT)}  # noqa: TID251
    process = subprocess.Popen(
        [sys.executable, "-m", "lfk", *arguments], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout
    finally:
        process.terminate()
        process.wait(60)


def take(browser: Browser, url: str, target: Path) -> None:
    """Add a recording as a person would, name the speakers, and take the pictures."""
    context = browser.new_context(**_DESK)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, url)
    expect(page.locator("#rows .row.done")).to_have_count(3, timeout=1000 * _SECONDS)
    expect(page.locator("#rows .row.failed")).to_have_count(1, timeout=1000 * _SECONDS)
    page.locator("#rows a.name", has_text="conversation").click()
    page.get_by_role("button", name="Name speakers").click()
    for label, name in (("SPEAKER_00", "Ada"), ("SPEAKER_01", "Tom")):
        page.get_by_label(label).fill(name)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h2.who").first).to_contain_text("Ada")
    page.goto(url)
    page.locator("#approach").select_option("diarisation")
    page.locator("#files").set_input_files(SPEECH / "sense-and-sensibility-2.flac")
    # Hubs tell what they are at every few seconds, and this is done sooner: the card says more than the row.
    expect(page.locator("#sending .facts")).to_contain_text("waiting")
    page.screenshot(path=target / "web-list.png")
    expect(page.locator("#sending .done")).to_have_count(1, timeout=1000 * _SECONDS)
    session = context.storage_state()
    for name, kind, scheme in (
        ("web-transcript.png", _DESK, "dark"),
        ("web-phone-list.png", _PHONE, "light"),
        ("web-phone-transcript.png", _PHONE, "dark"),
    ):
        shown = browser.new_context(storage_state=session, color_scheme=scheme, **kind)  # type: ignore[arg-type]
        picture(shown.new_page(), url, target / name)
        shown.close()
    context.close()


def picture(page: Page, url: str, path: Path) -> None:
    """The list, or the conversation while it plays."""
    page.goto(url)
    expect(page.locator("#rows .row").first).to_be_visible()
    if "transcript" in path.name:
        page.locator("#rows a.name", has_text="conversation").click()
        expect(page.locator("#player:not(.waiting)")).to_be_visible()
        page.locator("[data-t]").nth(15).click()
        wait(lambda: page.locator("p .now").count() == 1)
    page.wait_for_timeout(500)
    page.screenshot(path=path)


def sign_in(page: Page, url: str) -> None:
    """Show the token."""
    page.goto(url)
    page.locator("#visitor").get_by_role("button").click()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#drop-writable")).to_be_visible()


def wait(condition: Callable[[], bool]) -> None:
    """Until it is true."""
    deadline = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
