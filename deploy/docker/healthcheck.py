"""Asks the role in this container how it is; what it serves its health on is in the environment.

``LFK_HEALTH`` answers /healthz; a page on ``LFK_WEB`` answers. A role that serves neither is as well as its process
is, which the container's own state tells.
"""

import os
import sys
import urllib.error
import urllib.request

#: Below the HEALTHCHECK's own limit, so that a hanging role is reported as that.
TIMEOUT_SECONDS = 8


def url(environ):
    """What to ask; None where nothing is served."""
    for name, path in (("LFK_HEALTH", "/healthz"), ("LFK_WEB", "/")):
        address = environ.get(name, "")
        if address:
            port = address.rpartition(":")[2]
            return f"http://127.0.0.1:{int(port)}{path}"
    return None


def main(environ):
    """0 where the role is well, else 1 and a line that says why."""
    asked = url(environ)
    if asked is None:
        return 0
    # Proxies are for the way out, not for a look at oneself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=TIMEOUT_SECONDS) as answer:
            print(answer.read(2000).decode("utf-8", "replace").strip() if "healthz" in asked else answer.status)
            return 0
    except urllib.error.HTTPError as error:
        print(f"{asked}: {error.code} {error.read(2000).decode('utf-8', 'replace').strip()}")
    except OSError as error:
        print(f"{asked}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
