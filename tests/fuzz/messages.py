"""Hostile messages by the number: every trick that is known by name, then valid ones damaged at random.

The same seed makes the same messages. None may end in anything but the answers that it allows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lfk.brokers.strict_json import validator
from lfk.core.options import OPTIONS

#: A path that leads to audio, below the audio root.
GOOD = "simple/tiny/good.wav"

MALFORMED = frozenset({"malformed_message"})
LARGE = frozenset({"message_too_large"})
FRAMES = frozenset({"frames_not_allowed"})
INVALID = frozenset({"invalid_location"})
FORBIDDEN = frozenset({"forbidden_location"})
NO_APPROACH = frozenset({"unknown_approach"})
NO_MODEL = frozenset({"unknown_model"})
OPTION = frozenset({"invalid_option"})
MISSING = frozenset({"object_missing"})
BAD_KEY = frozenset({"invalid_key"})
DONE = frozenset({"done"})
#: What may become of a message that is damaged at random.
ANY = MALFORMED | LARGE | FRAMES | INVALID | FORBIDDEN | NO_APPROACH | NO_MODEL | OPTION | MISSING | BAD_KEY | DONE

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Hostile:
    """A record: its name here, its bytes, and what may become of it."""

    name: str
    value: bytes | None
    allowed: frozenset[str] = ANY
    key: bytes | None = b"k"
    headers: Headers = ()


def messages(seed: int, count: int, canary: str = "127.0.0.1:9") -> Iterator[Hostile]:
    """``count`` records of a seed: the known tricks first. ``canary`` is an address that nobody may be made to call."""
    chance = random.Random(seed)
    known = tricks(canary)
    yield from known[:count]
    for number in range(count - len(known)):
        make = chance.choice((_damaged, _damaged, _random_fields, _random_path, _random_options, _random_headers))
        yield make(chance, f"{number:05}-{make.__name__.strip('_')}")


# --- known tricks


@cache
def tricks(canary: str) -> tuple[Hostile, ...]:
    """Every trick that is known by name."""
    return (*_forms(), *_types(), *_numbers(), *_large(), *_unicode(), *_paths(canary), *_recipes(), *_records())


def _named(kind: str, allowed: frozenset[str], *values: bytes | None) -> Iterator[Hostile]:
    for number, value in enumerate(values):
        yield Hostile(f"{kind} {number}", value, allowed)


def _raw(**fields: str) -> bytes:
    """A reference to good audio with fields whose values are written as given."""
    written = {"path_to_audio": json.dumps(GOOD), **fields}
    return ("{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in written.items()) + "}").encode()


def _reference(path: str = GOOD, **fields: Any) -> bytes:
    return json.dumps({"path_to_audio": path, **fields}).encode()


def _forms() -> Iterator[Hostile]:
    whole = _reference()
    yield from _named(
        "form",
        MALFORMED,
        None,
        b"",
        b" ",
        b"{",
        b"[1, 2]",
        b"null",
        b"true",
        b'"x"',
        b"1e999",
        b"{}",
        b"\x00",
        b"\xff",
        bytes(range(256)),
        whole[:-1],
        whole + b"}",
        whole + whole,
        b"'" + whole,
        whole.replace(b'"', b"'"),
        whole.decode().encode("utf-16"),
        whole.decode().encode("utf-32"),
        b"\x1f\x8b\x08" + whole,
        b"<?xml?><a/>",
        b"\x00\x00\x00\x00\x01" + whole,
        b"path_to_audio=x",
        b"%7B%7D",
        b'{"path_to_audio": "x"/**/}',
        b'{"path_to_audio": NaN}',
        b'{"path_to_audio": "x", "size": +1}',
        b'{"path_to_audio": "\x01"}',
    )
    yield from _named("BOM", DONE, b"\xef\xbb\xbf" + whole)
    yield from _named(
        "twice",
        MALFORMED,
        b'{"path_to_audio": "a.wav", "path_to_audio": "b.wav"}',
        b'{"path_to_audio": "a.wav", "path\\u005fto_audio": "a.wav"}',
        _raw(options='{"pause": 1, "pause": 2}'),
        _raw(extra='{"a": {"b": 1, "b": 1}}'),
    )
    deep = 9000
    yield from _named(
        "deep",
        MALFORMED,
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b"[" * deep + b"]" * deep,
        _raw(options='{"a":' * deep + "1" + "}" * deep),
        _raw(extra="[" * deep + "]" * deep),
        b'{"path_to_audio": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    )
    yield Hostile("deep within bounds", _raw(extra="[" * 200 + "]" * 200), DONE)


def _types() -> Iterator[Hostile]:
    """A value of every other type in every field."""
    values = {"string": '"x"', "integer": "7", "number": "7.5", "boolean": "true", "object": '{"a": 1}', "array": "[1]"}
    for name, about in validator("audio-reference").schema["properties"].items():
        fits = about["type"] if isinstance(about["type"], list) else [about["type"]]
        for kind, value in values.items():
            if kind in fits or (kind == "integer" and "number" in fits):
                continue
            yield Hostile(f"{name} as {kind}", _raw(**{name: value}), MALFORMED)
    yield Hostile("all null", _raw(**dict.fromkeys(("etag", "size", "options", "language", "force"), "null")), DONE)
    yield Hostile("no path", b'{"transcription_approach": "simple.tiny"}', MALFORMED)
    yield Hostile("null path", b'{"path_to_audio": null}', MALFORMED)


def _numbers() -> Iterator[Hostile]:
    huge = "9" * 400
    bad = (
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "-Infinity",
        "-1",
        huge,
        f"-{huge}",
        "1e308",
        "9007199254740992",
        '"5"',
    )
    for name in ("timestamp", "size", "duration"):
        for value in (*bad, "9" * 6000, "0x10", "01", "1_000", "1e", ".5"):
            # A duration may be large, within reason; that one is a length that no recording has either.
            yield Hostile(f"{name} {value[:12]}", _raw(**{name: value}), MALFORMED)
        for value in ("0", "-0", "0.0", "-0.0", "1e3", "1E+2"):
            yield Hostile(f"{name} {value}", _raw(**{name: value}), DONE)
    for name in ("beam_size", "batch_size", "num_speakers", "min_speakers", "pause"):
        for value in (*bad, "1e17", "1.5e300", "[]", "{}", "true"):
            allowed = (OPTION | MALFORMED) if value != '"5"' else DONE
            yield Hostile(f"option {name} {value[:12]}", _raw(options=f'{{"{name}": {value}}}'), allowed)


def _large() -> Iterator[Hostile]:
    megabytes = 5 << 20
    yield Hostile("5 MB of path", _reference("x" * megabytes), LARGE)
    yield Hostile("5 MB of nothing", bytes(megabytes), LARGE)
    yield Hostile("5 MB of blanks", _reference() + b" " * megabytes, LARGE)
    yield Hostile("5 MB of brackets", b"[" * megabytes, LARGE)
    yield Hostile("5 MB of frames", _reference(frames="A" * megabytes), FRAMES)
    yield Hostile("700 kB of path", _reference("x" * 700_000), LARGE)
    yield Hostile("1 MB less a little", _reference("y" * 1_048_300), LARGE)
    yield Hostile("frames", _reference(frames="AAAA", params="1,2"), FRAMES)
    yield Hostile("64 KiB", _reference("x" * (65_536 - 21)), LARGE)
    yield Hostile("one field of 60 kB", _raw(extra=json.dumps("z" * 60_000)), DONE)
    yield Hostile(
        "thousands of fields", json.dumps({"path_to_audio": GOOD, **{str(n): n for n in range(3000)}}).encode(), DONE
    )
    yield Hostile("a path of 4097", _reference("x" * 4097), MALFORMED)
    yield Hostile("a path of 4096", _reference("x" * 4096), INVALID)


def _unicode() -> Iterator[Hostile]:
    half = "\\ud800"
    fields = ("batch_id", "causation_id", "etag", "version_id", "content_type", "params", "language", "extra")
    for name in fields:
        yield Hostile(f"half a character in {name}", _raw(**{name: f'"{half}"'}), MALFORMED)
    yield Hostile("half a character in the path", _raw(path_to_audio=f'"simple/tiny/{half}.wav"'), MALFORMED)
    yield Hostile("half a character in the pair", _raw(transcription_approach=f'"simple.{half}"'), MALFORMED)
    yield Hostile("half a character in an option", _raw(options=f'{{"hotwords": "{half}"}}'), MALFORMED)
    yield Hostile("half a character in a name", _reference()[:-1] + f', "{half}": 1}}'.encode(), MALFORMED)
    yield Hostile("half a character deep within", _raw(extra=f'[[{{"a": ["{half}"]}}]]'), MALFORMED)
    yield Hostile("two halves", _raw(extra='"\\ud83c\\udfa7"'), DONE)
    yield Hostile("halves in bytes", _reference().replace(b"good", b"\xed\xa0\x80"), MALFORMED)
    yield Hostile("overlong", _reference().replace(b"good", b"\xc0\xaf"), MALFORMED)
    names = {
        "bidi": "simple/tiny/\u202egnp.wav",
        "controls": "simple/tiny/\x1b]0;owned\x07\x1b[2J\r\n.wav",
        "line ends": "simple/tiny/a\u2028b\u2029c\x85.wav",
        "nothing to see": "simple/tiny/\u200b\u200d\ufeff.wav",
        "private": "simple/tiny/\ue000\U0010ffff\ufffe.wav",
        "stacked": "simple/tiny/e" + "\u0301" * 100 + ".wav",
        "Turkish": "SİMPLE/TİNY/x.wav",
        "full width": "\uff53imple/\uff54iny/x.wav",
        "Kelvin": "simple/tiny/\u212a.wav",
    }
    for name, path in names.items():
        yield Hostile(name, _reference(path), MISSING)
    yield Hostile("NUL", _reference("simple/tiny/a\0b.wav"), INVALID)
    yield Hostile("1025 bytes", _reference("simple/tiny/" + "é" * 507), INVALID)
    yield Hostile("a name of 300", _reference("simple/tiny/" + "x" * 300), BAD_KEY)


def _paths(canary: str) -> Iterator[Hostile]:
    yield from _paths_of(
        INVALID,
        "../../etc/passwd",
        "simple/tiny/../../../x",
        "simple\\tiny\\..\\..\\x",
        "sources/../x.wav",
        "..",
        ".",
        "./",
        "simple/tiny/./x.wav",
        "simple/tiny/x/..",
        "simple/tiny/",
        f"http://{canary}/x.wav",
        f"https://{canary}/x.wav",
        f"ftp://{canary}/x",
        f"gs://{canary}/x",
        f"concat://{canary}",
        f"hls+http://{canary}/x",
        "file://host/share/x.wav",
        "file://x",
        "s3://",
        "s3:///x",
        "s3://UPPER/x.wav",
        f"s3://{canary}/x.wav",
        "s3://a/x.wav",
        "file:///a/../b",
        "s3://bucket/a/../b",
        "s3://user:secret@bucket/x",
        "s3://bucket?x=/y",
    )
    yield from _paths_of(
        FORBIDDEN,
        "/etc/passwd",
        "C:\\Windows\\win.ini",
        "c:x.wav",
        "\\\\host\\share\\x.wav",
        "//host/share",
        "s3://elsewhere/x.wav",
        "S3://elsewhere/x.wav",
        "file:///etc/passwd",
        "file:///",
        "file:///proc/self/environ",
        "s3://elsewhere",
    )
    yield from _paths_of(
        MISSING,
        "simple/tiny/none.wav",
        "simple/tiny/%2e%2e/x.wav",
        "simple/tiny/..%2f..%2fx",
        "simple/tiny/good.wav/x",
        "simple/tiny/x;rm -rf $HOME;`id`|$(id).wav",
        "simple/tiny/-i",
        "simple/tiny/*.wav",
        "simple/tiny/good.wav?x=1",
        "simple/tiny/good.wav#t=1",
        "~/x.wav",
        "$HOME/x.wav",
        "data:audio/wav;base64,AAAA",
        "pipe:0",
        "-",
        "aux",
        "simple/tiny/…",
        "simple/tiny/concat:good.wav|good.wav",
        "simple/tiny/subfile,,start,0,end,9,,:good.wav",
    )
    yield from _paths_of(BAD_KEY, "simple/tiny//x.wav", "simple/tiny/x//y.wav", "jar:file://x!/y")


def _paths_of(allowed: frozenset[str], *paths: str) -> Iterator[Hostile]:
    for path in paths:
        yield Hostile(f"path {path}", _reference(path), allowed)


def _recipes() -> Iterator[Hostile]:
    pairs = {
        "diarisation": NO_MODEL,
        "simple.": NO_MODEL,
        ".": NO_APPROACH,
        "": DONE,
        ".tiny": NO_APPROACH,
        "simple./etc/passwd": NO_MODEL,
        "simple.openai/whisper": NO_MODEL,
        "simple.tiny\n": DONE,
        "simple.tiny.x": NO_MODEL,
        "SIMPLE.TINY": DONE,
        "simple;id.tiny": NO_APPROACH,
        "\x1b[31m.tiny": NO_APPROACH,
        "x" * 129: MALFORMED,
        "simple.tiny\x00": NO_MODEL,
        "__class__.__init__": NO_APPROACH,
    }
    for pair, allowed in pairs.items():
        yield Hostile(f"pair {pair[:20]!r}", _reference(transcription_approach=pair), allowed)
    for path in ("simple/openai/x.wav", "simple/x.wav", "diarisation/../x.wav", "simple//tiny/x.wav"):
        yield Hostile(f"model in {path}", _reference(path), INVALID if ".." in path else NO_MODEL)
    wrong: tuple[dict[str, Any], ...] = (
        {"shell": "rm"},
        {"": 1},
        {"x" * 5000: 1},
        {"\x1b[2J": 1},
        {"__proto__": {}},
        {"formats": ["exe"]},
        {"formats": "../x"},
        {"formats": {"a": 1}},
        {"formats": 7},
        {"hotwords": "<|endoftext|>"},
        {"hotwords": "\x00"},
        {"hotwords": "x" * 5000},
        {"hotwords": ["a"]},
        {"initial_prompt": "\u001b[31m"},
        {"language": "klingon"},
        {"language": 7},
        {"task": "exec"},
        {"beam_size": 10**6},
        {"batch_size": -5},
        {"min_speakers": 5, "max_speakers": 2},
        {"num_speakers": 2, "min_speakers": 1},
        {"pause": "1e999"},
        {"pause": "nan"},
        {"timestamps": "maybe"},
        {"timestamps": [[]]},
        {"on_stage_error": "ignore"},
        {"beam_size": "٣٣٣"},
        {"model": "/etc/passwd"},
        {"device": "cuda"},
        {"threads": 10**9},
    )
    for options in wrong:
        yield Hostile(f"options {next(iter(options))[:20]!r}", _reference(options=options), OPTION)
    yield Hostile("33 options", _reference(options={str(n): n for n in range(33)}), MALFORMED)
    yield Hostile("a language of 17", _reference(language="x" * 17), MALFORMED)
    yield Hostile("no language", _reference(language="xx"), OPTION)


def _records() -> Iterator[Hostile]:
    """What is fine, in records that are not: none of this may matter."""
    event = b"ab" * 16
    forged: dict[str, list[tuple[str, bytes | None]]] = {
        "due in 30,000 years": [("lfk.retry.event", event), ("lfk.retry.due", b"9" * 18)],
        "tried often": [("lfk.retry.event", event), ("lfk.retry.attempts", b"9" * 18)],
        "another event": [("lfk.retry.event", event), ("lfk.retry.attempts", b"1"), ("lfk.retry.due", b"1")],
        "an event of no form": [("lfk.retry.event", b"../../x"), ("lfk.retry.attempts", b"7")],
        "digits that are none": [
            ("lfk.retry.event", event),
            ("lfk.retry.attempts", "٣".encode()),
            ("lfk.retry.due", b"-1"),
        ],
        "another origin": [
            ("lfk.retry.event", event),
            ("lfk.error.original.topic", b"\xff\x1b[2J" * 400),
            ("lfk.error.original.partition", b"-9"),
            ("lfk.error.original.offset", b"1e9"),
        ],
        "an origin alone": [("lfk.error.original.topic", b"elsewhere"), ("lfk.error.original.offset", b"5")],
        "an error already": [("lfk.error.code", b"internal"), ("lfk.error.attempts", b"-1"), ("lfk.error.event", b"x")],
        "CloudEvents of nobody": [
            ("ce_id", b""),
            ("ce_id", b"again"),
            ("ce_time", b"yesterday"),
            ("ce_type", b"\x00\xff"),
        ],
        "a long trace": [("traceparent", b"0" * 5000)],
        "a trace that is none": [("traceparent", b"\x1b]0;x\x07\xff\n")],
        "no header values": [("traceparent", None), ("lfk.retry.event", None), ("lfk.retry.due", None), ("", None)],
        "names of every kind": [("\u202e", b"1"), ("a\nb", b"2"), ("é" * 200, b"3"), ("lfk.retry.event ", event)],
        "hundreds of headers": [(f"h{number}", b"x" * 50) for number in range(400)],
        "300 kB of headers": [("padding", b"p" * 300_000)],
        "1 MB of headers": [("padding", b"p" * 1_000_000)],
    }
    for name, headers in forged.items():
        yield Hostile(name, _reference(), DONE, headers=headers)
        yield Hostile(f"{name}, and no JSON", b"{", MALFORMED, headers=headers)
    keys = {
        "no key": None,
        "an empty key": b"",
        "bytes": bytes(range(256)),
        "escapes": b"\x1b[2J\n\r\0",
        "a long key": b"k" * 70_000,
        "1 MB of key": b"k" * 1_000_000,
        "somebody else's key": b"s3://bucket/audio/other.wav",
        "no UTF-8": b"\xff\xfe",
    }
    for name, key in keys.items():
        yield Hostile(name, _reference(), DONE, key)
        yield Hostile(f"{name}, and no JSON", b"[]", MALFORMED, key)


# --- at random

_TEXTS = (
    "",
    "x",
    GOOD,
    "..",
    "\0",
    "\u202e",
    "simple",
    "tiny",
    "é",
    "s3://bucket/",
    "a" * 300,
    "<|en|>",
    "-1",
    "1e999",
    "null",
)


def _text(chance: random.Random) -> str:
    if chance.random() < 0.3:
        return "".join(
            chr(chance.choice((chance.randrange(32, 127), chance.randrange(0xD800))))
            for _ in range(chance.randrange(20))
        )
    return "".join(chance.choice(_TEXTS) for _ in range(chance.randrange(1, 4)))


def _anything(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(8 if depth < 4 else 6)
    if kind == 6:
        return [_anything(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        return {_text(chance): _anything(chance, depth + 1) for _ in range(chance.randrange(4))}
    numbers = (0, -1, 2**53, -(2**63), 10**30, 0.5, -0.0, 1e308, float("inf"), float("nan"))
    return (None, True, False, chance.choice(numbers), chance.randrange(10), _text(chance))[kind]


def _rich(chance: random.Random) -> bytes:
    return _reference(
        chance.choice((GOOD, "diarisation/base/none.wav", "sources/simple/tiny/good.wav")),
        transcription_approach=chance.choice((None, "simple.tiny", "diarisation.base")),
        timestamp=chance.randrange(2**41),
        size=chance.randrange(2**40),
        duration=chance.random() * 100,
        etag="e" * 32,
        options=chance.choice(({}, {"pause": 1.5}, {"hotwords": "Kafka"})),
        batch_id="b1",
        force=chance.random() < 0.2,
    )


def _damaged(chance: random.Random, name: str) -> Hostile:
    value = bytearray(_rich(chance))
    for _ in range(chance.choice((1, 2, 8))):
        at = chance.randrange(len(value))
        match chance.randrange(5):
            case 0:
                value[at] ^= 1 << chance.randrange(8)
            case 1:
                del value[at : at + chance.randrange(1, 20)]
            case 2:
                value[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 3:
                value[at:at] = bytes(
                    chance.choice((b'"', b"{", b"}", b"[", b"\\", b"\\u0000", b"\\ud800", b",", b"1e999"))
                )
            case _:
                value[at:at] = value[at : at + chance.randrange(60)]
        if not value:
            break
    return Hostile(name, bytes(value))


def _random_fields(chance: random.Random, name: str) -> Hostile:
    fields = [*validator("audio-reference").schema["properties"], "extra", ""]
    data = {"path_to_audio": GOOD} | {chance.choice(fields): _anything(chance) for _ in range(chance.randrange(1, 6))}
    return Hostile(name, json.dumps(data, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass"))


def _random_path(chance: random.Random, name: str) -> Hostile:
    pieces = (
        "simple",
        "tiny",
        "/",
        "/",
        "..",
        ".",
        "\\",
        "s3://",
        "file://",
        "bucket",
        "C:",
        "%2e",
        "x.wav",
        "\0",
        "~",
        " ",
        "//",
        "é",
    )
    return Hostile(name, _reference("".join(chance.choice(pieces) for _ in range(chance.randrange(1, 9)))))


def _random_options(chance: random.Random, name: str) -> Hostile:
    options = {chance.choice([*OPTIONS, "x"]): _anything(chance) for _ in range(chance.randrange(1, 5))}
    return Hostile(name, _reference(options=options))


def _random_headers(chance: random.Random, name: str) -> Hostile:
    names = (
        "lfk.retry.event",
        "lfk.retry.attempts",
        "lfk.retry.due",
        "lfk.error.original.topic",
        "lfk.error.original.offset",
        "lfk.error.original.partition",
        "lfk.error.code",
        "traceparent",
        "ce_id",
        "ce_time",
        "content-type",
    )
    values = (None, b"", b"0", b"7", b"9" * 18, b"-1", b"ab" * 16, chance.randbytes(20), b"x" * 1000)
    headers = [(chance.choice(names), chance.choice(values)) for _ in range(chance.randrange(1, 8))]
    key = chance.choice((None, b"", b"k", chance.randbytes(30)))
    good = chance.random() < 0.5
    return Hostile(name, _reference() if good else chance.randbytes(30), DONE if good else MALFORMED, key, headers)
