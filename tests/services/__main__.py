"""``make services``: fetches the programs of the local servers, so that no test waits for a build.

What an address in the environment or a Docker engine provides is not fetched. Without ``LFK_REQUIRE_SERVICES=1`` a
program that cannot be had is reported and passed over: its tests are skipped then, saying why.
"""

from __future__ import annotations

import os
import sys
import time

from tests.services.containers import engine_answers
from tests.services.programs import MissingError, cache_folder, fetch
from tests.services.provide import SERVICES


def main() -> int:
    """Fetch what is needed; 1 if something that is required is missing."""
    required = os.environ.get("LFK_REQUIRE_SERVICES") == "1"
    missing = False
    for service in SERVICES.values():
        if os.environ.get(service.variable):
            print(f"{service.name}: {service.variable} is set")
        elif engine_answers() and not required:
            print(f"{service.name}: Docker")
        else:
            missing |= not _fetch(service.name)
    return 1 if missing and required else 0


def _fetch(name: str) -> bool:
    print(f"{name}: ", end="", flush=True)
    began = time.monotonic()
    try:
        fresh = fetch(SERVICES[name].program, cache_folder(os.environ))
    except MissingError as error:
        print(f"not to be had: {error}")
        return False
    print(f"fetched in {time.monotonic() - began:.0f} s" if fresh else "there already")
    return True


if __name__ == "__main__":
    sys.exit(main())
