"""Recordings of every kind that people and programs hand in: odd, damaged, hostile, long."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import textwrap
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from lfk.core.errors import (
    AudioEmpty,
    AudioTooLong,
    AudioUndecodable,
    FileUnreadable,
    MediaError,
    NoAudioTrack,
    ScratchFull,
)
from lfk.engine.media import Audio, decode
from tests.acceptance import bad_media
from tests.fuzz import containers

RATE = 16_000
HOUR = 3600.0


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> np.ndarray[Any, Any]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(path: Path, samples: np.ndarray[Any, Any], rate: int = RATE, kind: int = 3, bits: int = 32) -> Path:
    """A RIFF file: ``kind`` 3 is float, 1 whole numbers; samples of shape (n,) or (n, channels)."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    body = samples.tobytes()
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, (rate * block) & 0xFFFFFFFF, block, bits)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(body)) + head + body)
    return path


def encoded(
    path: Path,
    samples: np.ndarray[Any, Any] | None,
    codec: str,
    rate: int = 48_000,
    *,
    starts: Callable[[int], int] = lambda at: at,
    video: bool = False,
    form: str | None = None,
) -> Path:
    """Through an encoder; ``starts`` says where on the file's own clock the sample number ``at`` lies."""
    with av.open(str(path), "w", format=form) as container:
        if video:
            pictures = container.add_stream("mpeg4", rate=5)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            for _ in range(10):
                picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
        if samples is not None:
            track = container.add_stream(codec, rate=rate, layout="mono")
            track.codec_context.bit_rate = 96_000
            size = track.codec_context.frame_size or 1024
            resampler = av.AudioResampler(format=track.codec_context.format, layout="mono", rate=rate, frame_size=size)
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                piece.pts = starts(piece.pts)
                container.mux(track.encode(piece))
            container.mux(track.encode(None))
    return path


def heard(audio: Audio) -> float:
    """Loudness (root mean square)."""
    return float(np.sqrt(np.mean(np.square(audio.samples))))


def test_nothing_but_samples(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    audio = decode(wav(tmp_path / "x.wav", tone(1.5)), scratch, HOUR)
    assert audio.samples.dtype == np.float32
    assert np.allclose(audio.samples, tone(1.5), atol=1e-6)
    assert audio.duration == 1.5
    assert audio.warnings == ()
    assert list(scratch.iterdir()) == [], "the samples' file has no name that could be left behind"
    audio.release()
    assert np.allclose(audio.samples, tone(1.5), atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "kind", "bits", "scale", "offset"),
    [
        ("<u1", 1, 8, 127, 128),
        ("<i2", 1, 16, 32767, 0),
        ("<i4", 1, 32, 2**31 - 1, 0),
        ("<i8", 1, 64, 2**63 - 2**10, 0),
        ("<f4", 3, 32, 1, 0),
        ("<f8", 3, 64, 1, 0),
    ],
)
def test_sample_formats(tmp_path: Path, dtype: str, kind: int, bits: int, scale: float, offset: int) -> None:
    samples = (tone(0.5).astype(np.float64) * scale + offset).astype(dtype)
    audio = decode(wav(tmp_path / "x.wav", samples, kind=kind, bits=bits), tmp_path, HOUR)
    assert np.allclose(audio.samples, tone(0.5), atol=0.02 if bits == 8 else 1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("x.mp3", "libmp3lame", 44_100),
        ("x.ogg", "libopus", 48_000),
        ("x.flac", "flac", 44_100),
        ("x.m4a", "aac", 48_000),
        ("x.mp4", "aac", 44_100),
        ("x.webm", "libopus", 48_000),
        ("x.mkv", "flac", 48_000),
        ("x.aac", "aac", 48_000),
        ("x.ac3", "ac3", 48_000),
        ("x.mov", "pcm_s16le", 48_000),
        ("x.wma", "wmav2", 44_100),
        ("x.ts", "mp2", 48_000),
        ("x.aiff", "pcm_s16be", 22_050),
        ("x.au", "pcm_s16be", 8_000),
        ("x.avi", "libmp3lame", 44_100),
        ("x.flv", "libmp3lame", 44_100),
    ],
)
def test_codecs_and_containers(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    path = encoded(tmp_path / name, tone(3.0, rate), codec, rate, form="adts" if name == "x.aac" else None)
    audio = decode(path, tmp_path, HOUR)
    assert audio.duration == pytest.approx(3.0, abs=0.1)
    assert heard(audio) == pytest.approx(0.354, abs=0.03)
    assert audio.warnings == ()
    middle = audio.samples[RATE : 2 * RATE]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(440, abs=2)


def test_eight_channels_are_mixed_equally(tmp_path: Path) -> None:
    """The fourth of eight is the one that a mix for loudspeakers would drop."""
    samples = np.zeros((96_000, 8), dtype=np.float32)
    samples[:, 3] = tone(1.0, 96_000)
    audio = decode(wav(tmp_path / "x.wav", samples, 96_000), tmp_path, HOUR)
    assert audio.duration == pytest.approx(1.0, abs=0.001)
    assert heard(audio) == pytest.approx(0.354 / 8, rel=0.02)


@pytest.mark.parametrize("seconds", [0.05, 0.01, 1 / RATE])
def test_a_clip_of_next_to_nothing(tmp_path: Path, seconds: float) -> None:
    assert decode(wav(tmp_path / "x.wav", tone(seconds)), tmp_path, HOUR).duration == pytest.approx(seconds)


def test_what_is_not_a_number_is_silence(tmp_path: Path) -> None:
    samples = tone(1.0, 44_100)
    samples[100:200] = np.nan
    samples[300] = np.inf
    samples[400] = 1e30
    audio = decode(wav(tmp_path / "x.wav", samples, 44_100), tmp_path, HOUR)
    assert np.isfinite(audio.samples).all()
    assert np.abs(audio.samples).max() <= 1.0
    assert audio.warnings == ("101 samples were not numbers and are taken for silence",)


def test_the_default_track_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("flac", rate=RATE, layout="mono") for _ in range(2)]
        tracks[0].disposition = av.stream.Disposition(0)
        tracks[1].disposition = av.stream.Disposition.default
        for track, hertz in zip(tracks, (300.0, 1000.0), strict=True):
            samples = (tone(1.0, hertz=hertz) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    audio = decode(path, tmp_path, HOUR)
    assert np.argmax(np.abs(np.fft.rfft(audio.samples))) == pytest.approx(1000, abs=3)


# --- what is refused


def test_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.wav").touch()
    with pytest.raises(AudioEmpty, match="no bytes"):
        decode(tmp_path / "x.wav", tmp_path, HOUR)


def test_no_samples(tmp_path: Path) -> None:
    with pytest.raises(AudioEmpty, match="no samples"):
        decode(wav(tmp_path / "x.wav", tone(0.0)), tmp_path, HOUR)


@pytest.mark.parametrize("content", [b"Minutes of the meeting\n" * 500, os.urandom(20_000), b"\x00" * 20_000, b"RIFF"])
def test_no_recording(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(AudioUndecodable):
        decode(tmp_path / "x.wav", tmp_path, HOUR)


def test_a_picture_named_as_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.png"), "w", format="image2") as container:
        picture = container.add_stream("png")
        picture.width, picture.height, picture.pix_fmt = 8, 8, "rgb24"
        container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")))
    (tmp_path / "x.png").rename(tmp_path / "x.mp3")
    with pytest.raises(AudioUndecodable):
        decode(tmp_path / "x.mp3", tmp_path, HOUR)


def test_a_video_without_sound(tmp_path: Path) -> None:
    with pytest.raises(NoAudioTrack, match="mov file without an audio track"):
        decode(encoded(tmp_path / "x.mp4", None, "aac", video=True), tmp_path, HOUR)


def test_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "x.wav").mkdir()
    with pytest.raises(FileUnreadable, match="plain file"):
        decode(tmp_path / "x.wav", tmp_path, HOUR)
    with pytest.raises(FileUnreadable):
        decode(tmp_path / "missing.wav", tmp_path, HOUR)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(FileUnreadable, match="plain file"):
        decode(tmp_path / "pipe.wav", tmp_path, HOUR)


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_a_sample_rate_that_makes_no_sense(tmp_path: Path, rate: int) -> None:
    with pytest.raises(AudioUndecodable):
        decode(wav(tmp_path / "x.wav", tone(0.5), rate), tmp_path, HOUR)


# --- cut short, damaged, lying


def test_an_mp4_cut_before_its_index(tmp_path: Path) -> None:
    whole = encoded(tmp_path / "whole.mp4", tone(5.0, 48_000), "aac").read_bytes()
    (tmp_path / "x.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioUndecodable):
        decode(tmp_path / "x.mp4", tmp_path, HOUR)


def test_what_is_left_of_a_wav_is_used(tmp_path: Path) -> None:
    whole = wav(tmp_path / "whole.wav", tone(10.0)).read_bytes()
    (tmp_path / "x.wav").write_bytes(whole[: len(whole) // 2])
    audio = decode(tmp_path / "x.wav", tmp_path, HOUR)
    assert audio.duration == pytest.approx(5.0, abs=0.1)


def test_a_webm_cut_short_says_so(tmp_path: Path) -> None:
    whole = encoded(tmp_path / "whole.mka", tone(10.0, 48_000), "libopus").read_bytes()
    (tmp_path / "x.mka").write_bytes(whole[: len(whole) // 2])
    audio = decode(tmp_path / "x.mka", tmp_path, HOUR)
    assert 2.0 < audio.duration < 8.0
    assert any("cut short" in warning for warning in audio.warnings)


def test_damage_in_the_middle_is_left_out(tmp_path: Path) -> None:
    whole = bytearray(encoded(tmp_path / "whole.mp4", tone(10.0, 48_000), "aac").read_bytes())
    at = whole.index(b"mdat") + 2000
    whole[at : at + 3000] = os.urandom(3000)
    (tmp_path / "x.mp4").write_bytes(whole)
    audio = decode(tmp_path / "x.mp4", tmp_path, HOUR)
    assert audio.duration == pytest.approx(10.0, abs=1.5)
    assert any("damaged" in warning for warning in audio.warnings)


def test_too_long_is_refused_while_it_is_decoded(tmp_path: Path) -> None:
    path = encoded(tmp_path / "x.aac", tone(30.0, 48_000), "aac", form="adts")
    with pytest.raises(AudioTooLong, match="limit"):
        decode(path, tmp_path, 10.0)


def test_too_long_by_its_own_account_is_refused_at_once(tmp_path: Path) -> None:
    """Before anything is decoded: the samples behind the header are not even there."""
    path = wav(tmp_path / "x.wav", tone(1.0, 8_000), 8_000)
    declared = 20 * 3600 * 32_000
    with path.open("r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", declared + 36))
        file.seek(40)
        file.write(struct.pack("<I", declared))
        file.truncate(44 + declared)
    with pytest.raises(AudioTooLong, match=r"20\.0 h"):
        decode(path, tmp_path, 12 * HOUR)


def test_a_full_disk_is_told_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1 << 20))
    assert decode(wav(tmp_path / "short.wav", tone(10.0)), tmp_path, HOUR).duration == 10.0
    with pytest.raises(ScratchFull, match="there are 1 MiB"):
        decode(wav(tmp_path / "long.wav", tone(60.0)), tmp_path, HOUR)


def test_a_lie_about_the_length_is_not_believed(tmp_path: Path) -> None:
    """One second that declares a hundred hours."""
    path = wav(tmp_path / "x.wav", (tone(1.0, 1_000) * 127 + 128).astype(np.uint8), 1_000, kind=1, bits=8)
    with path.open("r+b") as file:
        file.seek(40)
        file.write(struct.pack("<I", 360_000_000))
    assert decode(path, tmp_path, 12 * HOUR).duration == pytest.approx(1.0, abs=0.1)


def test_a_gap_in_the_recording_keeps_later_times_right(tmp_path: Path) -> None:
    """Browsers and phones leave out what was silent or lost; a player shows what follows at its own time."""
    jump = 5 * 48_000
    path = encoded(
        tmp_path / "x.webm", tone(4.0, 48_000), "libopus", starts=lambda at: at + (jump if at >= 96_000 else 0)
    )
    audio = decode(path, tmp_path, HOUR)
    assert audio.duration == pytest.approx(9.0, abs=0.1)
    assert np.abs(audio.samples[3 * RATE : 6 * RATE]).max() < 0.01
    assert np.abs(audio.samples[8 * RATE :]).max() > 0.3
    assert audio.warnings == ()


def test_a_forged_gap_of_hours_is_not_filled(tmp_path: Path) -> None:
    jump = 50 * 3600 * 48_000
    path = encoded(
        tmp_path / "x.webm", tone(4.0, 48_000), "libopus", starts=lambda at: at + (jump if at >= 96_000 else 0)
    )
    audio = decode(path, tmp_path, 60 * HOUR)
    assert audio.duration == pytest.approx(4.0, abs=0.1)
    assert any("clock jumps" in warning for warning in audio.warnings)


# --- hostile


@pytest.mark.parametrize("name", ["x.wav", "x.m3u8", "x.mp3"])
@pytest.mark.parametrize("kind", ["hls", "concat", "ffconcat", "sdp", "dash"])
def test_a_playlist_opens_nothing(tmp_path: Path, kind: str, name: str) -> None:
    """A recording of somebody else's beside it, or anywhere, is not to be had by naming it."""
    secret = wav(tmp_path / "secret.wav", tone(2.0))
    playlists = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"file '{secret}'\n",
        "ffconcat": f"ffconcat version 1.0\nfile secret.wav\nfile '{secret}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
        f'<Representation id="1"><BaseURL>file:{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    }
    (tmp_path / name).write_text(playlists[kind], encoding="utf-8")
    with pytest.raises(AudioUndecodable):
        decode(tmp_path / name, tmp_path, HOUR)


@pytest.mark.parametrize(
    "name", ["concat:a.wav|b.wav", "http:x.wav", "-i.wav", "%d.wav", "pipe:0", "a\nb.wav", "ö日本.wav"]
)
def test_the_name_is_a_name(tmp_path: Path, name: str) -> None:
    assert decode(wav(tmp_path / name, tone(0.2)), tmp_path, HOUR).duration == pytest.approx(0.2)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    assert decode(wav(path, tone(0.2)), tmp_path, HOUR).duration == pytest.approx(0.2)


@pytest.mark.slow
def test_hours_take_no_memory(tmp_path: Path) -> None:
    """Two hours decode within 150 MB beside the libraries; their samples alone are 460 MB."""
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        minute = (tone(60.0) * 32767).astype("<i2").tobytes()
        for _ in range(120):
            out.writeframesraw(minute)
    script = textwrap.dedent(f"""
        import resource
        from pathlib import Path
        import numpy as np
        from lfk.engine.media import decode
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        audio = decode(Path({str(path)!r}), Path({str(tmp_path)!r}), 4 * 3600.0)
        loud = max(float(np.abs(audio.samples[at : at + 16000 * 60]).max() + (audio.release() or 0))
                   for at in range(0, len(audio.samples), 16000 * 60))
        print(audio.duration, loud, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
    """)
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    duration, loud, grown = output.split()
    assert float(duration) == 7200.0
    assert float(loud) > 0.4
    assert int(grown) < 150


def test_tables_that_ask_for_gigabytes_are_refused(tmp_path: Path) -> None:
    """Four kilobytes whose eight tracks declare sixty-four million samples each: 13 GB of index."""
    table = containers.track(samples=1 << 26, size=1, chunk=1 << 26, codec=b"mp4a", delta=1024)
    (tmp_path / "x.mp4").write_bytes(containers.mp4([table] * 8, bytes(1000)))
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(MediaError):
        decode(tmp_path / "x.mp4", tmp_path, HOUR)
    assert resource.getrlimit(resource.RLIMIT_DATA) == limit
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 << 20


def test_a_track_that_begins_in_the_middle_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV does not expect such, which recorders of broadcasts write: its reading ends with an IndexError then."""
    real = av.open

    class Surprised:
        surprises = 3

        def __init__(self, *about: Any, **options: Any) -> None:
            self._real = real(*about, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def __enter__(self) -> Surprised:
            return self

        def __exit__(self, *_error: object) -> None:
            self._real.close()

        def demux(self, stream: Any) -> Iterator[Any]:
            for number, packet in enumerate(self._real.demux(stream)):
                if number == 20 and self.surprises:
                    self.surprises -= 1
                    raise IndexError("list index out of range")
                yield packet

    path = encoded(tmp_path / "x.ts", tone(3.0, 48_000), "mp2")
    monkeypatch.setattr("av.open", Surprised)
    audio = decode(path, tmp_path, HOUR)
    assert audio.duration == pytest.approx(3.0, abs=0.2)
    assert audio.warnings == ()


def test_no_decoder_of_pictures_is_ever_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are most of FFmpeg's code; a video is described without them."""
    film = tmp_path / "x.mp4"
    bad_media.video(film, sound=True)
    asked: list[dict[str, str]] = []
    real = av.open
    monkeypatch.setattr(
        "av.open", lambda *about, **options: asked.append(options["options"]) or real(*about, **options)
    )
    assert decode(film, tmp_path, HOUR).duration == pytest.approx(1.0, abs=0.1)
    allowed = asked[0]["codec_whitelist"].split(",")
    assert {"aac", "libopus", "flac", "mp3float", "pcm_s16le"} <= set(allowed)
    assert not {"h264", "hevc", "vp9", "av1", "mjpeg", "png", "ass", "srt"} & set(allowed)


def test_bytes_of_any_kind_never_bring_it_down(tmp_path: Path) -> None:
    """Recordings with bytes overwritten here and there: samples or a typed refusal, nothing else."""
    chance = np.random.default_rng(7)
    kinds = {"x.mp3": "libmp3lame", "x.ogg": "libopus", "x.flac": "flac", "x.m4a": "aac"}
    wholes = {name: encoded(tmp_path / name, tone(1.0, 48_000), codec).read_bytes() for name, codec in kinds.items()}
    for turn in range(60):
        name = list(wholes)[turn % len(wholes)]
        content = bytearray(wholes[name])
        for at in chance.integers(0, len(content), size=chance.integers(1, 60)):
            content[at] = chance.integers(0, 256)
        (tmp_path / name).write_bytes(bytes(content))
        try:
            audio = decode(tmp_path / name, tmp_path, HOUR)
        except (AudioUndecodable, AudioEmpty, AudioTooLong, NoAudioTrack):
            continue
        assert np.isfinite(audio.samples).all()


def test_no_stray_import(tmp_path: Path) -> None:
    """Decoding alone needs neither torch nor whisperx."""
    script = "import sys, lfk.engine.media; print(*sorted({'torch', 'whisperx', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[float] = []
    decode(wav(tmp_path / "x.wav", tone(20.0)), tmp_path, HOUR, told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
