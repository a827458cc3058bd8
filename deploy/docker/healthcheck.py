"""Asks the role in this container how it is, on what it serves by its environment: LFK_HEALTH, or the page's LFK_WEB.

A role that serves neither is as well as its process is, which the container's own state tells.
"""

import os
import sys
import urllib.error
import urllib.request

#: Below the HEALTHCHECK's own limit, so that a hanging role is reported as that.
TIMEOUT_SECONDS = 8


def url(environ):
    """What to ask; None where nothing is served."""
    address = environ.get("LFK_HEALTH") or environ.get("LFK_WEB")
    return f"http://127.0.0.1:{int(address.rpartition(':')[2])}/healthz" if address else None


def main(environ):
    """0 where the role is well, else 1 and a line that says why."""
    asked = url(environ)
    if asked is None:
        return 0
    # Proxies are for the way out, not for a look at oneself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=TIMEOUT_SECONDS) as answer:
            print(answer.read(2000).decode("utf-8", "replace").strip())
            return 0
    except urllib.error.HTTPError as error:
        print(f"{asked}: {error.code} {error.read(2000).decode('utf-8', 'replace').strip()}")
    except OSError as error:
        print(f"{asked}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
