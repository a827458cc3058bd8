"""A long run by hand: ``python -m tests.fuzz --seed 7 --count 5000``, or ``make fuzz SEED=7 COUNT=5000``.

Messages through everything that reads them, media through the decoder in its process. What should not have been is
told with the seed that makes it again, and the input is kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from lfk.brokers.base import Delivered, Partition
from lfk.brokers.codec import JsonCodec
from lfk.core.addressing import resolve
from lfk.core.errors import LfkError
from lfk.core.manifest import Rendering
from lfk.core.options import parse_options
from lfk.roles.hub.answers import Topics, announcement_record, dead_letter, failed_announcement, failure_record, receive
from tests.fuzz.media import media
from tests.fuzz.messages import Hostile, messages
from tests.fuzz.trial import canary, try_all
from tests.roles.roots import ROOTS

_TOPICS = Topics("lfk.transcripts", "lfk.audio.retry", "lfk.audio.dlq")
#: What only a store can tell: to whoever only reads a message, it is as good as any.
_OF_THE_STORE = frozenset({"done", "object_missing", "invalid_key"})


def read(message: Hostile) -> str:
    """What becomes of a message up to where the store is asked: ``done``, or the code of its refusal."""
    codec = JsonCodec()
    headers = {name: value or b"" for name, value in message.headers}
    record = Delivered(Partition("lfk.audio", 0), 1, 1, message.key, message.value, headers)
    job, _due = receive(record, _TOPICS.retry)
    try:
        job.reference = codec.decode_reference(message.value)
        job.address = resolve(job.reference.path_to_audio, job.reference.transcription_approach, ROOTS)
        parse_options(job.reference.options, job.reference.language, Rendering(("json",), True, 0.5))
    except LfkError as error:
        answer = failed_announcement(job, error, 1)
        codec.decode_announcement(announcement_record(answer, job, codec, _TOPICS).value)
        dead_letter(job, error, 1, _TOPICS)
        failure_record(answer, error, job)
        return error.code
    return "done"


def main() -> int:
    """Returns 1 if anything ended as it should not have."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed makes the same run")
    parser.add_argument("--count", type=int, default=2000, help="messages, and media")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where what fails is kept")
    asked = parser.parse_args()
    print(f"seed {asked.seed}, {asked.count} messages and as many media")
    wrong = [*_messages(asked.seed, asked.count, asked.keep), *_media(asked.seed, asked.count, asked.keep)]
    for line in wrong:
        print(f"WRONG, seed {asked.seed}: {line}")
    return 1 if wrong else 0


def _messages(seed: int, count: int, keep: Path) -> list[str]:
    codes: Counter[str] = Counter()
    wrong = []
    # Read in memory, a message takes a hundredth of what a medium takes.
    for number, message in enumerate(messages(seed, count)):
        try:
            code = read(message)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            code = f"{type(error).__name__}: {error}"
        codes[code] += 1
        if code not in message.allowed and not (code == "done" and message.allowed & _OF_THE_STORE):
            wrong.append(
                f"{message.name}: {code}; kept as {_kept(keep, f'{seed}-message-{number}', message.value or b'')}"
            )
    print(f"messages: {dict(codes.most_common())}")
    return wrong


def _media(seed: int, count: int, keep: Path) -> list[str]:
    codes: Counter[str] = Counter()
    wrong = []
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder, canary() as server:
        for verdict in try_all(media(seed, count, server.address), Path(folder)):
            codes[verdict.code] += 1
            slowest = max(slowest, (verdict.seconds, verdict.medium.name))
            if verdict.wrong:
                name = f"{seed}-{verdict.medium.name.replace('/', '_')}"
                wrong.append(f"{verdict.wrong}; kept as {_kept(keep, name, verdict.medium.content)}")
        if server.calls:
            wrong.append(f"something that a medium named was opened {server.calls} times")
    print(f"media: {dict(codes.most_common())}; the slowest took {slowest[0]:.1f} s: {slowest[1]}")
    return wrong


def _kept(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


if __name__ == "__main__":
    sys.exit(main())
