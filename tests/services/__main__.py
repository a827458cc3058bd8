"""``make services``: fetches what the tests' servers run from and the tools that check what is deployed, so that no
test waits for a download or a build.

That is the image where a Docker engine answers, else the local program; nothing where the environment has an address.
A server that cannot be had is reported and passed over: its tests are skipped then, saying why.

With ``LFK_REQUIRE_SERVICES=1`` that is an error, and the local programs are fetched in any case: tests that stop and
kill a server of their own run on nothing else.
"""

from __future__ import annotations

import os
import sys
import time

from tests.services import chromium
from tests.services.containers import engine_answers, pull
from tests.services.programs import MissingError, Program, cache_folder, fetch
from tests.services.provide import SERVICES, Service
from tests.services.tools import TOOLS


def main() -> int:
    """Fetch what is needed; 1 if something that is required is missing."""
    required = os.environ.get("LFK_REQUIRE_SERVICES") == "1"
    missing = False
    for service in SERVICES.values():
        shared = _has_address(service) or _has_image(service)
        if required or not shared:
            missing |= not _has_program(service.program)
    for tool in TOOLS:
        missing |= not _has_program(tool)
    missing |= not _has_browser() and chromium.can_install()
    return 1 if missing and required else 0


def _has_browser() -> bool:
    """A browser that is not there fails nothing where it cannot be installed: its tests are skipped, and say so."""
    print("chromium: ", end="", flush=True)
    began = time.monotonic()
    try:
        fresh = chromium.install()
    except MissingError as error:
        print(f"not to be had: {error}")
        return False
    print(f"installed in {time.monotonic() - began:.0f} s" if fresh else "there already")
    return True


def _has_address(service: Service) -> bool:
    if not os.environ.get(service.variable):
        return False
    print(f"{service.name}: {service.variable} is set")
    return True


def _has_image(service: Service) -> bool:
    if not engine_answers():
        return False
    print(f"{service.name}: ", end="", flush=True)
    try:
        pull(service.image)
    except MissingError as error:
        print(error)
        return False
    print(f"{service.image} in Docker")
    return True


def _has_program(program: Program) -> bool:
    print(f"{program.name}: ", end="", flush=True)
    began = time.monotonic()
    try:
        fresh = fetch(program, cache_folder(os.environ))
    except MissingError as error:
        print(f"not to be had: {error}")
        return False
    print(f"fetched in {time.monotonic() - began:.0f} s" if fresh else "there already")
    return True


if __name__ == "__main__":
    sys.exit(main())
