"""A bare producer loop: lines of a file as JSON messages to a topic, nothing looked at, nothing validated.

``python -m bench.harness.rivals.producer BOOTSTRAP TOPIC FILE``: prints the seconds from the first to the last
confirmed message.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from confluent_kafka import Producer


def main() -> int:
    """Send and count."""
    bootstrap, topic, listing = sys.argv[1:4]
    names = Path(listing).read_text(encoding="utf-8").splitlines()
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 20})
    began = time.perf_counter()
    for name in names:
        message = {"path_to_audio": name, "transcription_approach": "simple.tiny", "final": True, "frames": ""}
        while True:
            try:
                producer.produce(topic, json.dumps(message).encode(), name.encode())
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(60)
    print(time.perf_counter() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main())
