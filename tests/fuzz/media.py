"""Hostile media by the number: bombs that are built, and recordings that are damaged at random.

The same seed makes the same files. None may end in anything but a transcript or one of :data:`REFUSALS`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.acceptance.bad_media import video
from tests.fuzz import containers as made
from tests.integration.test_engine_media import encoded, tone

#: How a medium that cannot be used may be refused.
REFUSALS = frozenset({"audio_undecodable", "audio_empty", "no_audio_track", "audio_too_long"})
#: What a decoder may make of a medium that is damaged: the best of it, or a refusal.
EITHER = REFUSALS | {"done"}
BAD = frozenset({"audio_undecodable"})
LONG = frozenset({"audio_too_long"})
HOURS = 3600.0

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_MAGIC = (
    *(b"RIFF\xff\xff\xff\xffWAVE", b"RF64\xff\xff\xff\xffWAVEds64", b"RIFX\0\0\0\0WAVE", b"RIFF\0\0\0\0AVI LIST"),
    *(b"OggS\0\x02", b"fLaC\0\0\0\x22", b"\0\0\0\x18ftypisom", b"ID3\x04\0\0", b"\xff\xfb\x90\x00", b"\xff\xf1P@"),
    *(b"\x1a\x45\xdf\xa3", b"FLV\x01\x05", b"FORM\0\0\0\0AIFF", b".snd", b"caff\0\x01", b"wvpk", b"TTA1", b"#!AMR\n"),
    *(b"MAC \x96\x0f", b".RMF\0\0\0\x12", b"Creative Voice File\x1a", b"\x0b\x77", b"\x7f\xfe\x80\x01", b"G@\0\x10"),
    *(b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel", b"\0\0\x01\xba", b"\x06\x0e+4\x02\x05\x01\x01", b"riff.\x91\xcf"),
)


@dataclass(frozen=True)
class Medium:
    """A file: its name, its bytes, and what may come of it."""

    name: str
    content: bytes
    allowed: frozenset[str] = EITHER


def media(seed: int, count: int, canary: str = "127.0.0.1:9") -> Iterator[Medium]:
    """``count`` media of a seed: every bomb and disguise first, then damaged recordings. ``canary`` is an address
    that nobody may be made to connect to."""
    chance = random.Random(seed)
    film = Medium("a film without sound.mp4", recordings()["film.mp4"], frozenset({"no_audio_track"}))
    made_ones = [*bombs(), *disguises(canary), film]
    yield from made_ones[:count]
    wholes = recordings()
    for number in range(count - len(made_ones)):
        name = chance.choice(sorted(wholes))
        damage = chance.choice(_DAMAGE)
        content = damage(chance, name, wholes)
        yield Medium(f"{number:05}-{damage.__name__.strip('_')}-{name}", content)


# --- damaged recordings


@cache
def recordings() -> Mapping[str, bytes]:
    """One and a half seconds in every form that people send."""
    kinds = {
        "x.wav": "pcm_s16le",
        "x.mp3": "libmp3lame",
        "x.mp4": "aac",
        "x.m4a": "alac",
        "x.ogg": "libopus",
        "x.flac": "flac",
        "x.webm": "libopus",
        "x.mkv": "flac",
        "x.aac": "aac",
        "x.ts": "mp2",
        "x.wma": "wmav2",
        "x.aiff": "pcm_s16be",
        "x.avi": "libmp3lame",
        "x.wv": "wavpack",
        "x.caf": "pcm_s16le",
    }
    with TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        video(film, sound=False)
        return {"film.mp4": film.read_bytes()} | {
            name: encoded(
                Path(folder, name), tone(1.5, 48_000), codec, form="adts" if name == "x.aac" else None
            ).read_bytes()
            for name, codec in kinds.items()
        }


def _flipped(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    content = bytearray(wholes[name])
    for _ in range(chance.choice((1, 3, 30, 300))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def _truncated(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    return wholes[name][: chance.randrange(1, len(wholes[name]))]


def _lying(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    """Numbers in its headers are replaced by those that programs trip over."""
    content = bytearray(wholes[name])
    reach = min(len(content) - 8, chance.choice((64, 256, 2048)))
    # An mp4 has its tables at the end.
    base = chance.choice((0, max(0, content.find(b"moov")), max(0, len(content) - 2048)))
    for _ in range(chance.choice((1, 2, 5))):
        form = chance.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
        value = chance.choice(_EXTREMES) & (1 << 8 * struct.calcsize(form)) - 1
        at = min(base + chance.randrange(reach), len(content) - struct.calcsize(form))
        struct.pack_into(form, content, at, value)
    return bytes(content)


def _spliced(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    first, second = wholes[name], wholes[chance.choice(sorted(wholes))]
    return first[: chance.randrange(1, len(first))] + second[chance.randrange(len(second)) :]


def _repeated(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    return wholes[name] * chance.randrange(2, 6)


def _moved(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    """A run of bytes is taken out, and put back elsewhere or replaced by zeros."""
    content = wholes[name]
    start = chance.randrange(len(content))
    run = content[start : start + chance.choice((1, 16, 1000, 20_000))]
    rest = content[:start] + content[start + len(run) :]
    at = chance.randrange(len(rest) + 1)
    return rest[:at] + (run if chance.random() < 0.5 else bytes(len(run))) + rest[at:]


def _headed(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    """The beginning of some container, and noise behind it."""
    body = chance.randbytes(chance.choice((4, 100, 5_000, 60_000)))
    return chance.choice(_MAGIC) + (body if chance.random() < 0.7 else body[:8] + wholes[name])


def _resized(chance: random.Random, name: str, wholes: Mapping[str, bytes]) -> bytes:
    """An atom or chunk claims another size than it has."""
    content = bytearray(wholes[name])
    names = (b"moov", b"trak", b"mdia", b"stbl", b"stsd", b"stsz", b"stts", b"stsc", b"stco", b"mdat", b"data", b"fmt ")
    found = [at for at in (content.find(one) for one in names) if at >= 4]
    if not found:
        return _lying(chance, name, wholes)
    at = chance.choice(found)
    struct.pack_into(">I", content, at + chance.choice((-4, 4, 8, 12, 16)), chance.choice(_EXTREMES))
    return bytes(content)


_DAMAGE: tuple[Callable[[random.Random, str, Mapping[str, bytes]], bytes], ...] = (
    _flipped,
    _truncated,
    _lying,
    _lying,
    _spliced,
    _repeated,
    _moved,
    _headed,
    _resized,
)


# --- bombs


@cache
def bombs() -> tuple[Medium, ...]:
    """Small files that ask for hours, gigabytes or endless work."""
    second = (tone(1.0) * 32_767).astype("<i2").tobytes()
    return (
        Medium("declares 100 h.wav", made.wav(second, declared=0xFFFFFFFF, riff=0xFFFFFFFF)),
        Medium("declares 100 h at 1 kHz.wav", made.wav(bytes(2000), rate=1000, bits=8, declared=360_000_000)),
        Medium("65535 channels.wav", made.wav(second, channels=0xFFFF)),
        Medium("512 channels.wav", made.wav(second * 4, channels=512)),
        Medium("block of nothing.wav", made.wav(second, block=0)),
        Medium("no bits.wav", made.wav(second, bits=0)),
        Medium("65535 bits.wav", made.wav(second, bits=0xFFFF)),
        Medium("rate 0.wav", made.wav(second, rate=0)),
        Medium("rate 4 GHz.wav", made.wav(second, rate=0xFFFFFFFF)),
        Medium("rate 767 kHz.wav", made.wav(second, rate=767_999)),
        Medium("200 h of silence.flac", made.flac_silence(200 * HOURS, rate=1000), LONG),
        Medium("declares 2^36 samples.flac", made.flac_silence(10.0, declared=2**36 - 1)),
        Medium("rate 655 kHz.flac", made.flac_silence(2.0, rate=655_350)),
        Medium("2 h of silence.opus", made.opus_silence(2 * HOURS), LONG),
        Medium("a clock of millennia.opus", made.opus_silence(120.0, granule_step=1 << 60)),
        Medium("a clock that gains.opus", made.opus_silence(300.0, granule_step=48_000 * 590)),
        Medium("2^24 samples of nothing.mp4", made.mp4([made.track(samples=1 << 24, size=0, chunk=1 << 24)])),
        Medium("2^27 samples of a byte.mp4", made.mp4([made.track(samples=1 << 27, size=1, chunk=1 << 27)])),
        Medium("2^28 compressed samples.mp4", made.mp4([_packets(1 << 27)], bytes(1000))),
        Medium("2^28 samples, 8 times.mp4", made.mp4([_packets(1 << 26)] * 8, bytes(1000))),
        Medium("a delta of days.mp4", made.mp4([made.track(samples=500, delta=1 << 31, chunk=500)], second)),
        Medium("900 tracks.mp4", made.mp4([made.track(samples=100, chunk=100)] * 900, second)),
        Medium("5000 tracks.mp4", made.mp4([made.track(samples=1)] * 5000, second)),
        Medium("60000 channels.mp4", made.mp4([made.track(samples=10, channels=60_000, chunk=10)], second)),
        Medium("an index in an index.mov", made.packed_index(6, 50_000_000), BAD),
        Medium("nested 20000 deep.mp4", _nested(20_000), BAD),
        Medium("5000 tracks.mkv", made.matroska(made.matroska_tracks(5000))),
        Medium("900 tracks.mkv", made.matroska(made.matroska_tracks(900))),
        Medium("rate without end.mkv", made.matroska(made.matroska_tracks(1, rate=float("inf")))),
        Medium("a rate that is none.mkv", made.matroska(made.matroska_tracks(1, rate=float("nan")))),
        Medium("2^32 channels.mkv", made.matroska(made.matroska_tracks(1, channels=0xFFFFFFFF))),
        Medium("an element of exabytes.mkv", made.matroska(made.element(b"\x16\x54\xae\x6b", bytes(9), (1 << 56) - 2))),
        Medium("a tag of 256 MB.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5000)),
        Medium("ten thousand tags.mp3", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"ID3\x04\0\0\0\0\0\0" * 10_000),
        Medium("frames of nothing.mp3", (b"\xff\xfb\x90\xc4" + bytes(413)) * 300),
        Medium("one byte.wav", b"R"),
        Medium("zeros.mp3", bytes(100_000), BAD),
        Medium("ones.flac", b"\xff" * 100_000),
    )


def _packets(count: int) -> bytes:
    return made.track(samples=count, size=1, chunk=count, codec=b"mp4a", delta=1024)


def _nested(depth: int) -> bytes:
    """Containers within containers, each of the size that is left."""
    heads = (struct.pack(">I", 8 * (depth - level)) + b"moov" for level in range(depth))
    return made.atom(b"ftyp", b"isom", bytes(4)) + b"".join(heads)


# --- disguises


def disguises(canary: str) -> tuple[Medium, ...]:
    """What is no recording but looks like one by its name; those that name others name ``canary``."""
    link = f"http://{canary}/secret.wav"
    texts = {
        "playlist.mp3": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{link}\n#EXT-X-ENDLIST\n",
        "playlist.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{link}"\n#EXTINF:2,\nsecret.wav\n#EXT-X-ENDLIST\n',
        "concat.mp3": f"ffconcat version 1.0\nfile '{link}'\nfile 'secret.wav'\nfile '/etc/passwd'\n",
        "concat plain.mp3": "file 'secret.wav'\nfile '/proc/self/environ'\n",
        "script.avs": 'AviSource("secret.avi")\n',
        "session.sdp": f"v=0\no=- 0 0 IN IP4 {canary}\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "session.mp3": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
        f'<Representation id="1"><BaseURL>{link}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "picture.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{link}"/></svg>',
        "picture.mp3": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
        "asx.wma": f'<asx version="3.0"><entry><ref href="{link}"/></entry></asx>',
        "reference.wma": f"[Reference]\nRef1={link}\n",
        "pls.ogg": f"[playlist]\nFile1={link}\nNumberOfEntries=1\n",
        "page.mp3": f"<!doctype html><audio src='{link}'></audio>",
        "subtitles.mp3": "1\n00:00:00,000 --> 99:00:00,000\nhello\n",
        "metadata.mp3": ";FFMETADATA1\ntitle=x\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=360000\n",
        "notes.wav": "Minutes of the meeting\n" * 400,
        "sheet.mp3": f'FILE "{link}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "filter.mp3": "sine=frequency=440:duration=360000\n",
        "pattern%03d.mp3": "secret\n",
    }
    others = {
        "picture.png.mp3": b"\x89PNG\r\n\x1a\n"
        + bytes.fromhex("0000000d49484452ffffffffffffffff0806000000")
        + bytes(90),
        "picture.gif.mp3": b"GIF89a\xff\xff\xff\xff\x80\x00\x00" + bytes(60) + b"\x3b",
        "picture.jpg.wav": b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0" + b"\xff\xd9",
        "archive.zip.mp3": b"PK\x03\x04" + bytes(26) + b"x.wav",
        "program.mp3": b"\x7fELF\x02\x01\x01" + bytes(500),
        "document.pdf.wav": b"%PDF-1.7\n" + bytes(400) + b"%%EOF",
        "squeezed.wav.gz": b"\x1f\x8b\x08" + bytes(500),
        "lights.mp3": np.full(4000, 0x0100, dtype="<u2").tobytes(),
        "a drive of another.mov": _foreign_data(link),
    }
    return (
        *(Medium(name, text.encode(), BAD) for name, text in texts.items()),
        *(Medium(name, content, REFUSALS) for name, content in others.items()),
    )


def _foreign_data(link: str) -> bytes:
    """A QuickTime track whose samples lie in another file, by path and by URL."""
    alias = made.full(b"alis", bytes(150), b"\0\x02\0\x12/etc/passwd\0\0\0\0\0\0\0\xff\xff\0\0")
    url = made.full(b"url ", link.encode() + b"\0")
    track = made.track(samples=1000, chunk=1000)
    reference = made.atom(b"dinf", made.full(b"dref", struct.pack(">I", 2), alias, url))
    at = track.index(b"stbl") - 4
    grown = bytearray(track[:at] + reference + track[at:])
    for name in (b"trak", b"mdia", b"minf"):
        place = grown.index(name) - 4
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", grown, place)[0] + len(reference))
    return made.mp4([bytes(grown)])
