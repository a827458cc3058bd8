"""Runs one server and outlives nobody: started as ``python guard.py -- program arguments``.

The owner holds the other end of standard input. Writing ``stop`` ends the server politely, ``kill`` at once, ``pause``
and ``resume`` take its processor away and give it back; when the pipe closes, for whatever reason the owner went, the
server is killed. Standard library only: it starts in no time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

_ORDERS = {b"stop": signal.SIGTERM, b"pause": signal.SIGSTOP, b"resume": signal.SIGCONT}


def main(argv: list[str]) -> int:
    """Run the program in a process group of its own; the exit status is the program's."""
    server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)

    def signal_group(number: int) -> None:
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            return

    def obey_owner() -> None:
        # Straight from the pipe: a reader blocked inside sys.stdin would break the interpreter's own end.
        while order := os.read(0, 64):
            signal_group(_ORDERS.get(order, signal.SIGKILL))
        signal_group(signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: signal_group(signal.SIGKILL))
    threading.Thread(target=obey_owner, daemon=True).start()
    status = server.wait()
    signal_group(signal.SIGKILL)  # whatever the server itself had started
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
