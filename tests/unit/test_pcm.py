"""The layout of samples in messages: known spellings are read, and the wav file is a proper one."""

from __future__ import annotations

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.errors import MalformedMessage
from lfk.core.pcm import HEADER_BYTES, MOST_DATA_BYTES, Pcm, parse_params, read_wav_header, wav_header

layouts = st.builds(Pcm, st.integers(1, 8), st.integers(1, 4), st.sampled_from([8000, 16000, 44100, 192000]))


def made_by_wave(pcm: Pcm, samples: bytes) -> tuple[bytes, object]:
    """What Python's own module writes, and the params that it reads back."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as audio:
        audio.setnchannels(pcm.channels)
        audio.setsampwidth(pcm.width)
        audio.setframerate(pcm.rate)
        audio.writeframes(samples)
    memory.seek(0)
    with wave.open(memory, "rb") as audio:
        return memory.getvalue(), audio.getparams()


@pytest.mark.parametrize(
    "text",
    [
        "1,2,16000,32000,NONE,not compressed",
        " 1, 2, 16000, 32000, 'NONE', 'not compressed' ",
        "_wave_params(nchannels=1, sampwidth=2, framerate=16000, nframes=32000, comptype='NONE', "
        "compname='not compressed')",
        "(1, 2, 16000, 32000, 'NONE', 'not compressed')",
        '[1, 2, 16000, 32000, "NONE", "not compressed"]',
        "nchannels=1,sampwidth=2,framerate=16000,nframes=32000",
        '{"nchannels": 1, "sampwidth": 2, "framerate": 16000, "nframes": 32000, "comptype": "NONE"}',
        "framerate=16000, nframes=32000, nchannels=1, sampwidth=2",
        "(1, 2, 16000, 32000,)",
    ],
)
def test_spellings(text: str) -> None:
    assert parse_params(text) == Pcm(1, 2, 16000, 32000)


@pytest.mark.parametrize("frames", ["0", "2147483647", "4294967295"])
def test_a_length_that_is_no_length_is_not_known(frames: str) -> None:
    assert parse_params(f"1,2,16000,{frames},NONE,not compressed").frames is None
    assert parse_params("2,1,8000") == Pcm(2, 1, 8000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2",
        "1,2,16000,5,NONE,not compressed,more",
        "0,2,16000,5,NONE,x",
        "65,2,16000,5,NONE,x",
        "1,5,16000,5,NONE,x",
        "1,2,0,5,NONE,x",
        "1,2,768001,5,NONE,x",
        "1,2,-16000,5,NONE,x",
        "1,2,16000.0,5,NONE,x",
        "1,2,1e4,5,NONE,x",
        "1,2,١٦٠٠٠,5,NONE,x",
        "1,2,16000,5,ULAW,x",
        "one,2,16000,5,NONE,x",
        "nchannels=1,2,16000",
        "nchannels=1,sampwidth=2,sampwidth=2",
        "nchannels=1,sampwidth=2,framerate=16000,colour=blue",
        "1,2,9999999999999999,5,NONE,x",
        "__import__('os').system('true'),2,16000",
    ],
)
def test_what_is_no_layout_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_params(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        pcm = parse_params(text)
    except MalformedMessage:
        return
    assert 1 <= pcm.channels <= 64
    assert 1 <= pcm.width <= 4
    assert 1 <= pcm.rate <= 768000


@given(layouts, st.integers(1, 50), st.data())
def test_the_file_is_what_wave_itself_writes_and_reads(pcm: Pcm, frames: int, data: st.DataObject) -> None:
    samples = data.draw(st.binary(min_size=frames * pcm.frame_bytes, max_size=frames * pcm.frame_bytes))
    file, params = made_by_wave(pcm, samples)
    assert wav_header(pcm, len(samples)) + samples == file
    assert parse_params(str(params)) == Pcm(pcm.channels, pcm.width, pcm.rate, frames)
    joined = ",".join(str(value) for value in params)  # type: ignore[attr-defined]
    assert parse_params(joined) == parse_params(str(params))
    read = read_wav_header(file[:HEADER_BYTES], len(file))
    assert read == Pcm(pcm.channels, pcm.width, pcm.rate, frames)
    assert parse_params(str(read)) == read


def test_a_wav_file_that_holds_more_than_samples_is_not_taken_apart() -> None:
    file, _params = made_by_wave(Pcm(1, 2, 16000), b"\0\0" * 8)
    assert read_wav_header(file[:HEADER_BYTES], len(file)) is not None
    assert read_wav_header(file[:HEADER_BYTES], len(file) + 26) is None
    assert read_wav_header(file[:20], 20) is None
    assert read_wav_header(b"RIFF" + bytes(40), 44) is None
    as_float = file[:20] + b"\x03\0" + file[22:]
    assert read_wav_header(as_float[:HEADER_BYTES], len(file)) is None


def test_a_wav_file_has_a_largest_size() -> None:
    assert len(wav_header(Pcm(1, 2, 16000), MOST_DATA_BYTES)) == HEADER_BYTES
    with pytest.raises(ValueError, match="at most"):
        wav_header(Pcm(1, 2, 16000), MOST_DATA_BYTES + 1)
