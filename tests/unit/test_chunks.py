"""Which bytes of what has come are the audio: all of it and nothing else, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lfk.core.chunks import Assembly, AudioChunk
from lfk.core.errors import ChunksIncomplete, ChunksMixed, LfkError, MalformedMessage

PARAMS = "1,2,16000,{},NONE,not compressed"


def numbered(frames: Sequence[bytes]) -> list[AudioChunk]:
    last = len(frames) - 1
    return [
        AudioChunk("a.mp3", block, final=at == last, upload_id="u", chunk_index=at, chunk_count=len(frames))
        for at, block in enumerate(frames)
    ]


def older(frames: Sequence[bytes], total: int | None = None) -> list[AudioChunk]:
    """As the older tool sends: no numbers, and the length of the whole file in every chunk."""
    whole = sum(map(len, frames)) // 2 if total is None else total
    last = len(frames) - 1
    return [
        AudioChunk("a.wav", block, final=at == last, params=PARAMS.format(whole), timestamp=at)
        for at, block in enumerate(frames)
    ]


def runs(chunks: Sequence[AudioChunk], began: int) -> list[AudioChunk]:
    """The same, sent by a producer that began then."""
    return [replace(chunk, timestamp=began + (chunk.timestamp or 0)) for chunk in chunks]


def join(chunks: Sequence[AudioChunk]) -> bytes:
    assembly = Assembly(numbered=chunks[0].numbered)
    spool = b""
    for chunk in chunks:
        if assembly.take(chunk, chunk.timestamp or 0):
            spool += chunk.frames
    assert assembly.complete
    assert assembly.received == len(spool)
    return b"".join(spool[piece.start : piece.start + piece.length] for piece in assembly.pieces())


blocks = st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=8)
samples = st.lists(st.binary(min_size=2, max_size=8).filter(lambda block: len(block) % 2 == 0), min_size=1, max_size=8)


@given(blocks, st.data())
def test_numbered_chunks_in_any_order_however_often(frames: list[bytes], data: st.DataObject) -> None:
    chunks = numbered(frames)
    again = data.draw(st.lists(st.sampled_from(chunks), max_size=6))
    order = data.draw(st.permutations([*chunks, *again]))
    assert join(order) == b"".join(frames)


@given(samples)
def test_unnumbered_chunks_in_their_order(frames: list[bytes]) -> None:
    assert join(older(frames)) == b"".join(frames)
    own = [
        AudioChunk("a.wav", chunk.frames, final=chunk.final, params=PARAMS.format(len(chunk.frames) // 2))
        for chunk in older(frames)
    ]
    assert join(own) == b"".join(frames), "each chunk may tell its own length"


@given(
    samples.filter(lambda frames: len(frames) > 1),
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=4),
    st.lists(st.integers(0, 7), max_size=3),
)
@example(
    [b"\0" * 8, b"\0" * 8, b"\0\0", b"\0" * 6, b"\0\0", b"\0\0", b"\0\1"],
    [(5, True), (4, False), (2, True), (6, True)],
    [],
)
def test_what_comes_out_is_the_audio_or_nothing(
    frames: list[bytes], added: list[tuple[int, bool]], lost: list[int]
) -> None:
    """Either something is lost on the way or something is added: never is anything else taken for the audio."""
    chunks = older(frames)
    last = chunks.pop()
    for at, foreign in added:
        if at < len(chunks):
            chunks.insert(
                at, AudioChunk("a.wav", b"\xee\xee", params=last.params, timestamp=99) if foreign else chunks[at]
            )
    for at in lost if not added else ():
        if at < len(chunks):
            del chunks[at]
    try:
        assert join([*chunks, last]) == b"".join(frames)
    except (ChunksIncomplete, ChunksMixed):
        assert added or lost


def test_a_producer_that_was_started_again() -> None:
    first, second, third = (runs(older([b"aaaa", b"bbbb", b"cccc", b"dd"]), at) for at in (0, 10, 20))
    assert join([*first[:2], *second]) == b"aaaabbbbccccdd"
    assert join([*first[:3], *second[:1], *third]) == b"aaaabbbbccccdd"
    with pytest.raises(ChunksMixed, match="several files"):
        join([first[1], *second])
    # The beginnings of two runs at a time, not of one after the other.
    with pytest.raises(ChunksMixed, match="several files"):
        join([*second[:2], *first])


def test_a_single_chunk_proves_no_run() -> None:
    """Of two chunks of silence and one of somebody else: what is left without the first has the right length, too."""
    chunks = older([b"\0\0", b"\0\0", b"aa", b"bb"])
    foreign = AudioChunk("a.wav", b"\xee\xee", params=chunks[0].params, timestamp=1)
    with pytest.raises(ChunksMixed, match="several files"):
        join([*chunks[:2], foreign, *chunks[2:]])


def test_two_producers_of_one_name_at_a_time_are_told() -> None:
    one, other = older([b"aaaa", b"bbbb", b"cccc"]), older([b"1111", b"2222", b"3333"])
    with pytest.raises(ChunksMixed):
        join([one[0], other[0], one[1], other[1], one[2]])


def test_chunks_that_a_retry_repeats() -> None:
    silence = older([b"\0\0\0\0", b"\0\0\0\0", b"aaaa", b"bb"])
    assert join(silence) == b"\0\0\0\0\0\0\0\0aaaabb"
    chunks = older([b"aaaa", b"bbbb", b"cc"])
    assert join([chunks[0], chunks[1], chunks[1], chunks[2]]) == b"aaaabbbbcc"
    assert join([*silence[:3], silence[2], silence[3]]) == b"\0\0\0\0\0\0\0\0aaaabb"
    # Sent again at another time it is no retry, and which of the silent chunks belongs there cannot be told.
    with pytest.raises(ChunksMixed):
        join([replace(silence[0], timestamp=50), *silence])


def test_what_is_lost_on_the_way_is_told() -> None:
    chunks = older([b"aaaa", b"bbbb", b"cc"])
    with pytest.raises(ChunksIncomplete, match="6 bytes of samples came of 10"):
        join([chunks[0], chunks[2]])


def test_without_a_length_everything_up_to_the_last_chunk_is_the_audio() -> None:
    assert join([AudioChunk("a.mp3", b"abc"), AudioChunk("a.mp3", b"d"), AudioChunk("a.mp3", final=True)]) == b"abcd"
    assert join(older([b"aaaa", b"bb"], total=0)) == b"aaaabb"


def test_missing_chunks_are_named() -> None:
    assembly = Assembly(numbered=True)
    chunks = numbered([b"x"] * 12)
    assembly.take(chunks[11], 0)
    assembly.take(chunks[3], 0)
    assert not assembly.complete
    assert assembly.missing == "0, 1, 2, 4, 5 and 5 more"
    assert Assembly(numbered=False).missing == "the last of them"


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([AudioChunk("a", b"aa", params="1,2,16000"), AudioChunk("a", b"bb", params="2,2,16000")], ChunksMixed),
        ([AudioChunk("a", b"aa"), AudioChunk("a", b"bb", params="1,2,16000")], ChunksMixed),
        ([AudioChunk("a", b"aa", params="nonsense")], MalformedMessage),
        ([AudioChunk("a", b"aaa", params="1,2,16000", final=True)], ChunksMixed),
        ([AudioChunk("a", b"a", upload_id="u", chunk_index=0), AudioChunk("a", b"b", upload_id="u", chunk_index=0)],
         ChunksMixed),
        ([AudioChunk("a", b"a", upload_id="u", chunk_index=2, chunk_count=2)], ChunksMixed),
        ([AudioChunk("a", b"a", upload_id="u", chunk_index=5),
          AudioChunk("a", b"b", upload_id="u", chunk_index=1, final=True)], ChunksMixed),
        ([AudioChunk("a", b"a", upload_id="u", chunk_index=0, chunk_count=3),
          AudioChunk("a", b"b", upload_id="u", chunk_index=1, chunk_count=2)], ChunksMixed),
    ],
)  # fmt: skip
def test_chunks_that_contradict_each_other(chunks: list[AudioChunk], error: type[LfkError]) -> None:
    assembly = Assembly(numbered=chunks[0].numbered)

    def all_of_them() -> None:
        for chunk in chunks:
            assembly.take(chunk, 0)
        assembly.pieces()

    with pytest.raises(error):
        all_of_them()
