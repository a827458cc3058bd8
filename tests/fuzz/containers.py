"""Recordings and containers written byte by byte, so that they may lie: what no encoder would make."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

_FLAC_RATE = 16_000
_FLAC_BLOCK = 65_535


def wav(
    body: bytes,
    *,
    kind: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    block: int | None = None,
    declared: int | None = None,
    riff: int | None = None,
) -> bytes:
    """A RIFF file; ``declared`` and ``riff`` are the lengths that it claims for its data and for all of itself."""
    block = channels * bits // 8 if block is None else block
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    size = len(body) if declared is None else declared
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", len(head) + len(body) if riff is None else riff) + head + body


def atom(name: bytes, *parts: bytes, size: int | None = None) -> bytes:
    """An mp4 atom; ``size`` is what it claims."""
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8 if size is None else size) + name + body


def full(name: bytes, *parts: bytes) -> bytes:
    """An atom with version and flags."""
    return atom(name, bytes(4), *parts)


def mp4(tracks: Iterable[bytes], data: bytes = b"") -> bytes:
    """A file of these ``trak`` atoms."""
    header = full(b"mvhd", struct.pack(">IIII", 0, 0, 1000, 1000), bytes(80))
    return atom(b"ftyp", b"isom", bytes(4), b"isom") + atom(b"moov", header, *tracks) + atom(b"mdat", data)


def track(
    *,
    samples: int,
    delta: int = 1,
    size: int = 2,
    chunk: int = 1,
    rate: int = 16_000,
    channels: int = 1,
    codec: bytes = b"sowt",
) -> bytes:
    """A sound track of ``samples`` samples of ``size`` bytes, as its tables say."""
    entry = atom(codec, bytes(6), struct.pack(">HHHIHHHHI", 1, 0, 0, 0, channels, 16, 0, 0, rate << 16 & 0xFFFFFFFF))
    table = atom(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), entry),
        full(b"stts", struct.pack(">III", 1, samples, delta)),
        full(b"stsc", struct.pack(">IIII", 1, 1, chunk, 1)),
        full(b"stsz", struct.pack(">II", size, samples)),
        full(b"stco", struct.pack(">II", 1, 40)),
    )
    handler = full(b"hdlr", bytes(4), b"soun", bytes(13))
    header = full(b"mdhd", struct.pack(">IIIIHH", 0, 0, rate, samples * delta & 0xFFFFFFFF, 0, 0))
    described = full(b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, 1000), bytes(60))
    return atom(b"trak", described, atom(b"mdia", header, handler, atom(b"minf", table)))


def packed_index(times: int, size: int) -> bytes:
    """A QuickTime file whose index is compressed, ``times`` over, around ``size`` bytes of nothing."""
    inner = atom(b"moov", atom(b"free", bytes(size)))
    for _ in range(times):
        packed = atom(b"cmvd", struct.pack(">I", len(inner)), zlib.compress(inner, 9))
        inner = atom(b"moov", atom(b"cmov", atom(b"dcom", b"zlib"), packed))
    return atom(b"ftyp", b"qt  ", bytes(4)) + inner


def element(number: bytes, body: bytes, size: int | None = None) -> bytes:
    """An element of EBML; ``size`` is what it claims."""
    return number + struct.pack(">Q", (len(body) if size is None else size) | 1 << 56) + body


def matroska(*parts: bytes) -> bytes:
    """A Matroska file of these parts."""
    header = element(b"\x42\x82", b"matroska") + element(b"\x42\x87", b"\x04") + element(b"\x42\x85", b"\x02")
    return element(b"\x1a\x45\xdf\xa3", header) + element(b"\x18\x53\x80\x67", b"".join(parts))


def matroska_tracks(count: int, channels: int = 1, rate: float = 16_000.0) -> bytes:
    """``count`` tracks of plain samples."""
    entries = []
    for number in range(1, count + 1):
        sound = element(b"\xb5", struct.pack(">d", rate)) + element(b"\x9f", struct.pack(">I", channels))
        about = element(b"\xd7", struct.pack(">I", number)) + element(b"\x73\xc5", struct.pack(">I", number))
        about += element(b"\x83", b"\x02") + element(b"\x86", b"A_PCM/INT/LIT")
        entries.append(element(b"\xae", about + element(b"\xe1", sound + element(b"\x62\x64", b"\x10"))))
    return element(b"\x16\x54\xae\x6b", b"".join(entries))


def ogg_page(serial: int, number: int, granule: int, packets: Sequence[bytes], flags: int = 0) -> bytes:
    """One page of whole packets, each under 255 bytes."""
    lacing = bytes(len(packet) for packet in packets)
    head = b"OggS" + struct.pack("<BBqIII", 0, flags, granule, serial, number, 0) + bytes([len(packets)]) + lacing
    page = head + b"".join(packets)
    return page[:22] + struct.pack("<I", _crc(page, _OGG)) + page[26:]


def opus_silence(seconds: float, granule_step: int | None = None) -> bytes:
    """An Opus file that decodes to silence, about 33 bytes a second; ``granule_step`` is each page's claimed length."""
    # Code 3 of a 60 ms CELT/SILK frame that carries nothing: two of them make the most that a packet may last.
    packet, per_packet = bytes([0b0001_1011, 2]), 5_760
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 0) + struct.pack("<I", 0)
    pages = [ogg_page(7, 0, 0, [head], 2), ogg_page(7, 1, 0, [tags])]
    granule = 0
    for number in range(2, 3 + round(seconds * 48_000) // (250 * per_packet)):
        granule += 250 * per_packet if granule_step is None else granule_step
        pages.append(ogg_page(7, number, granule & (1 << 63) - 1, [packet] * 250))
    return b"".join(pages)


def flac_silence(seconds: float, declared: int = 0, rate: int = _FLAC_RATE) -> bytes:
    """A FLAC file that decodes to silence, some 4 bytes a second; ``declared`` is how many samples it says it has."""
    about = struct.pack(">HH", _FLAC_BLOCK, _FLAC_BLOCK) + bytes(6)
    about += struct.pack(">Q", rate << 44 | 15 << 36 | declared) + bytes(16)
    frames = [b"fLaC\x80" + len(about).to_bytes(3, "big") + about]
    for number in range(max(1, round(seconds * rate) // _FLAC_BLOCK)):
        # Block size in 16 bits behind the header, the rate as in the file's, one channel of 16 bits.
        head = b"\xff\xf8\x70\x08" + _utf8(number) + struct.pack(">H", _FLAC_BLOCK - 1)
        frame = head + bytes([_crc8(head)]) + b"\x00\x00\x00"
        frames.append(frame + struct.pack(">H", _crc(frame, _FLAC) & 0xFFFF))
    return b"".join(frames)


def _utf8(number: int) -> bytes:
    """As FLAC writes frame numbers, below 2^21."""
    return chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else b"\xf4\x8f\xbf\xbf"


def _table(polynomial: int, width: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> width - 1 & 1 else 0)
            value &= (1 << width) - 1
        table.append(value)
    return table


_OGG = (_table(0x04C11DB7, 32), 32)
_FLAC = (_table(0x8005, 16), 16)
_FLAC8 = _table(0x07, 8)


def _crc(data: bytes, form: tuple[list[int], int]) -> int:
    table, width = form
    value, mask = 0, (1 << width) - 1
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> width - 8 ^ byte]
    return value


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _FLAC8[value ^ byte]
    return value
