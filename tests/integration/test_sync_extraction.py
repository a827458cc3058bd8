"""Videos that send their audio alone: what goes up, what is remembered, and what becomes of bad ones."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lfk.core.addressing import resolve
from lfk.core.errors import NoAudioTrack, ObjectMissing, ScratchFull, UnsupportedFeature
from lfk.core.extraction import EXTRACTED_FROM, Origin, holds_video, parse_origin
from lfk.core.manifest import AudioVersion, Rendering, StoredResult
from lfk.core.sync_plan import Content
from lfk.core.transcript import Transcript
from lfk.engine.extraction import AudioExtractor
from lfk.roles.burial import Burial
from lfk.roles.results import build_manifest
from lfk.roles.sync_job import Afterwards
from lfk.stores.base import SHA256
from tests.acceptance.command import Lfk
from tests.integration.syncing import Rig, counted


class FakeExtractor:
    """Takes the first tenth of a file for its audio."""

    def __init__(self, folder: Path, form: str = "flac") -> None:
        self.form = form
        self.calls = 0
        self.error: Exception | None = None
        self._folder = folder

    @contextmanager
    def extracted(self, path: Path, stopped: Callable[[], bool]) -> Iterator[Path]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        audio = self._folder / f"audio-{self.calls}"
        data = path.read_bytes()
        audio.write_bytes(data[: len(data) // 10] or data)
        yield audio
        audio.unlink()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.extractor = FakeExtractor(tmp_path)
    return rig


def again(rig: Rig, **how: Any) -> dict[str, int]:
    return counted(rig.run(extract="flac", **how))


VIDEO = bytes(range(256)) * 4


class TestOnePass:
    def test_the_audio_goes_up_under_the_name_of_the_video(self, rig: Rig) -> None:
        rig.write("simple/tiny/v.mp4", VIDEO)
        rig.write("simple/tiny/a.wav", b"sound")
        summary = rig.run(extract="flac")
        assert (counted(summary), summary.saved) == ({"new": 2}, 1024 - 102)
        data, info = rig.object("simple/tiny/v.mp4")
        assert (data, info.content_type) == (VIDEO[:102], "audio/flac")
        assert rig.object("simple/tiny/a.wav")[0] == b"sound"
        reference = next(r for r in rig.publisher.references if r["path_to_audio"].endswith("v.mp4"))
        assert (reference["size"], reference["sha256"]) == (102, info.metadata[SHA256])
        assert (reference["content_type"], reference["etag"]) == ("audio/flac", info.etag)

    def test_an_unchanged_video_is_known_with_and_without_memory(self, rig: Rig) -> None:
        rig.write("v.mp4", VIDEO)
        again(rig)
        assert again(rig) == {"unchanged": 1}
        rig.state.unlink()
        assert again(rig) == {"referred": 1}
        assert rig.publisher.references[0]["sha256"] == rig.publisher.references[1]["sha256"]
        assert rig.publisher.references[1]["content_type"] == "audio/flac"
        assert again(rig) == {"unchanged": 1}
        assert rig.extractor.calls == 1  # type: ignore[union-attr]

    @pytest.mark.parametrize("remembers", [True, False])
    def test_audio_that_was_deleted_on_purpose_is_not_sent_again(self, rig: Rig, remembers: bool) -> None:
        rig.write("v.mp4", VIDEO)
        again(rig)
        _data, info = rig.object("v.mp4")
        version = AudioVersion(info.etag, info.size, info.metadata[SHA256], info.modified)
        result = StoredResult("e" * 32, "j" * 64, Transcript(None, 1.0, ()), {})
        manifest = build_manifest(resolve("v.mp4", None, rig.roots), version, result, Rendering(("json",), True, 0.5))
        Burial(rig.store, rig.roots).bury(manifest, info, rig.roots.transcripts.join("simple/tiny/v.mp4.json"))
        if not remembers:
            rig.state.unlink()
        assert again(rig) == {"unchanged" if remembers else "referred": 1}
        assert again(rig) == {"unchanged": 1}
        assert rig.extractor.calls == 1  # type: ignore[union-attr]
        with pytest.raises(ObjectMissing):
            rig.object("v.mp4")
        rig.write("v.mp4", VIDEO[::-1])
        assert again(rig) == {"new": 1}
        assert rig.object("v.mp4")[0] == VIDEO[::-1][:102]

    def test_a_changed_video_goes_up_anew(self, rig: Rig) -> None:
        rig.write("v.mp4", VIDEO)
        again(rig)
        rig.write("v.mp4", VIDEO[::-1])
        assert again(rig) == {"changed": 1}
        assert rig.object("v.mp4")[0] == VIDEO[::-1][:102]

    def test_going_back_to_whole_videos_replaces_the_audio(self, rig: Rig) -> None:
        rig.write("v.mp4", VIDEO)
        again(rig)
        rig.extractor = None
        assert counted(rig.run()) == {"changed": 1}
        assert rig.object("v.mp4")[0] == VIDEO
        rig.state.unlink()
        assert counted(rig.run()) == {"referred": 1}

    def test_a_video_that_is_there_whole_stays_so(self, rig: Rig) -> None:
        rig.write("v.mp4", VIDEO)
        extractor, rig.extractor = rig.extractor, None
        rig.run()
        rig.extractor = extractor
        assert again(rig) == {"unchanged": 1}
        rig.state.unlink()
        assert again(rig) == {"referred": 1}
        assert rig.object("v.mp4")[0] == VIDEO

    def test_another_form_replaces_the_first(self, rig: Rig, tmp_path: Path) -> None:
        rig.write("v.mp4", VIDEO)
        again(rig)
        rig.extractor = FakeExtractor(tmp_path, "opus")
        assert counted(rig.run(extract="opus")) == {"changed": 1}
        assert rig.object("v.mp4")[1].content_type == "audio/ogg"

    def test_audio_that_is_no_smaller_is_not_worth_it(self, rig: Rig) -> None:
        rig.write("v.mp4", b"tiny")
        summary = rig.run(extract="flac")
        assert (rig.object("v.mp4")[0], summary.saved) == (b"tiny", 0)
        assert rig.object("v.mp4")[1].content_type == "video/mp4"
        assert again(rig) == {"unchanged": 1}

    @pytest.mark.parametrize("error", [NoAudioTrack("silent"), ScratchFull("full")])
    def test_what_fails_is_named_and_the_rest_goes_on(self, rig: Rig, error: Exception) -> None:
        rig.write("v.mp4", VIDEO)
        rig.write("a.wav", b"sound")
        rig.extractor.error = error  # type: ignore[union-attr]
        assert again(rig) == {"new": 1, "failed": 1}
        assert rig.done["v.mp4"].error is error

    def test_a_stop_while_it_is_extracted_leaves_it_for_the_next_time(self, rig: Rig) -> None:
        rig.write("v.mp4", VIDEO)
        rig.extractor.error = InterruptedError("told to stop")  # type: ignore[union-attr]
        summary = rig.run(extract="flac")
        assert (summary.left, summary.failed) == (1, 0)

    def test_a_dry_run_extracts_nothing(self, rig: Rig) -> None:
        rig.write("v.mp4", VIDEO)
        assert again(rig, dry_run=True) == {"new": 1}
        assert rig.extractor.calls == 0  # type: ignore[union-attr]

    def test_a_moved_video_is_the_whole_one(self, rig: Rig, tmp_path: Path) -> None:
        rig.write("v.mp4", VIDEO)
        summary = rig.run(extract="flac", afterwards=Afterwards(tmp_path / "done"))
        assert summary.failed == 0
        assert (tmp_path / "done" / "v.mp4").read_bytes() == VIDEO


@pytest.mark.parametrize(
    "text", ["", "flac", "flac:1:xyz", f"flac:-1:{'a' * 64}", f"FLAC:1:{'a' * 64}", f"flac:1:{'a' * 64}\n"]
)
def test_origins_that_are_none(text: str) -> None:
    assert parse_origin(text) is None


def test_an_origin_is_read_as_it_was_written() -> None:
    origin = Origin("opus", Content(10**12, "ab" * 32))
    assert parse_origin(str(origin)) == origin
    assert str(origin).isascii()
    assert EXTRACTED_FROM.startswith("lfk-")


def test_what_holds_video() -> None:
    names = ["v.mp4", "V.MKV", "x.mxf", "a.wav", "b.MP3", "c.m4a", "notes.txt"]
    assert [name for name in names if holds_video(name)] == ["v.mp4", "V.MKV", "x.mxf"]


def test_without_what_reads_recordings_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UnsupportedFeature) as caught:
        AudioExtractor("flac", None, max_seconds=10.0)
    assert "pip install 'lfk[hub]'" in caught.value.hint


def write_video(path: Path, seconds: float = 2.0, *, sound: bool = True) -> None:
    """A small real video with a tone."""
    import av
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1)
    with av.open(str(path), "w") as out:
        picture = out.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 160
        picture.pix_fmt = "yuv420p"
        picture.bit_rate = 2_000_000
        tone = out.add_stream("aac", rate=48_000, layout="stereo") if sound else None
        for number in range(int(seconds * 10)):
            image = av.VideoFrame.from_ndarray(noise.integers(0, 255, (160, 160, 3), dtype=np.uint8), format="rgb24")
            image.pts = number
            out.mux(picture.encode(image))
        times = np.arange(int(seconds * 48_000)) / 48_000
        wave = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
        for start in range(0, len(wave) - 1023, 1024) if tone is not None else ():
            frame = av.AudioFrame.from_ndarray(np.stack([wave[start : start + 1024]] * 2), "fltp", "stereo")
            frame.sample_rate, frame.pts = 48_000, start
            out.mux(tone.encode(frame))  # type: ignore[union-attr]
        for stream in filter(None, (picture, tone)):
            out.mux(stream.encode(None))


@pytest.mark.engine
class TestForReal:
    @pytest.mark.parametrize("form", ["flac", "opus"])
    def test_an_engine_hears_the_same(self, tmp_path: Path, form: str) -> None:
        import numpy as np

        from lfk.engine.media import decode

        video = tmp_path / "v.mp4"
        write_video(video)
        whole = decode(video, tmp_path, 60.0)
        with AudioExtractor(form, tmp_path, max_seconds=60.0).extracted(video, lambda: False) as audio:
            # Under the name of the video, as it is stored and fetched.
            alone = decode(audio.rename(tmp_path / "alone.mp4"), tmp_path, 60.0)
            (tmp_path / "alone.mp4").rename(audio)
        assert len(alone.samples) == len(whole.samples)
        error = float(np.abs(alone.samples - whole.samples)[1600:-1600].max())
        assert error < (1 / 32768 if form == "flac" else 0.1)

    def test_bad_ones_fail_with_a_reason_and_leave_nothing(self, tmp_path: Path) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        extractor = AudioExtractor("flac", scratch, max_seconds=1.0)
        write_video(tmp_path / "silent.mp4", sound=False)
        write_video(tmp_path / "long.mp4", 3.0)
        (tmp_path / "text.mp4").write_text("no video")
        codes = {}
        for name in ("silent", "long", "text", "missing"):
            try:
                with extractor.extracted(tmp_path / f"{name}.mp4", lambda: False):
                    codes[name] = "none"
            except Exception as error:  # noqa: BLE001 - its code is what is looked at
                codes[name] = getattr(error, "code", type(error).__name__)
        assert codes == {
            "silent": "no_audio_track",
            "long": "audio_too_long",
            "text": "audio_undecodable",
            "missing": "FileNotFoundError",
        }
        assert list(scratch.iterdir()) == []

    def test_a_stop_ends_it_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from lfk.engine import extraction

        # A short video may be through before the first look.
        monkeypatch.setattr(extraction, "_WATCH_SECONDS", 0.001)
        write_video(tmp_path / "v.mp4")
        stop = threading.Event()
        stop.set()
        began = time.monotonic()
        with (
            pytest.raises(InterruptedError),
            AudioExtractor("flac", tmp_path, max_seconds=60.0).extracted(tmp_path / "v.mp4", stop.is_set),
        ):
            pass
        assert time.monotonic() - began < 10

    def test_a_child_that_dies_is_that_files_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from lfk.core.errors import AudioUndecodable
        from lfk.engine import extraction

        monkeypatch.setattr(extraction.sys, "executable", "/bin/false")
        (tmp_path / "v.mp4").write_bytes(b"x")
        with (
            pytest.raises(AudioUndecodable, match="bad end"),
            AudioExtractor("flac", tmp_path, max_seconds=60.0).extracted(tmp_path / "v.mp4", lambda: False),
        ):
            pass

    def test_through_the_command(self, tmp_path: Path) -> None:
        write_video(tmp_path / "rec" / "week1" / "lesson1" / "video0.mp4", 4.0)
        write_video(tmp_path / "rec" / "week1" / "lesson1" / "video1.mp4", sound=False)
        lfk = Lfk(tmp_path, LFK_STORE="store", LFK_SETTLE="0")
        done = lfk("sync", "rec", "--layout", "course", "--extract-audio", "--extract-format", "opus")
        assert done.code == 1
        assert "video1.mp4: " in done.err
        assert "[no_audio_track]" in done.err
        assert "MB saved by sending audio alone" in done.out
        stored = tmp_path / "store/audio/simple/tiny/week1/lesson1/video0.mp4"
        assert stored.read_bytes().startswith(b"OggS")
        again = lfk("sync", "rec", "--layout", "course", "--extract-audio", "--extract-format", "opus", "--json")
        assert again.of("summary")[0]["unchanged"] == 1
