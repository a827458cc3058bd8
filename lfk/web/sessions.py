"""Who may change something: whoever bears the token, or has a cookie that was given for it.

Nothing is remembered: a cookie carries its own end and is signed with a key that is made from the token, so a restart
signs nobody out and a new token signs everybody out. To each cookie belongs one word that only the page's own scripts
can read and send along (the CSRF token).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

COOKIE = "lfk_session"
#: A working day.
SESSION_SECONDS = 12 * 3600
#: A token that nobody guesses; shorter ones are refused.
LEAST_TOKEN = 16


class Sessions:
    """Without a token nobody may change anything."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._digest = hashlib.sha256(token.encode("utf-8")).digest() if token else b""
        self._key = hashlib.pbkdf2_hmac("sha256", token.encode("utf-8"), b"lfk web sessions", 1000) if token else b""
        self._clock = clock

    @property
    def possible(self) -> bool:
        """There is a token, so there is a way to sign in."""
        return bool(self._digest)

    def is_token(self, given: str) -> bool:
        """Compared by digests in constant time, so that neither content nor length shows in how long it takes."""
        digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
        return self.possible and hmac.compare_digest(digest, self._digest)

    def begin(self) -> str:
        """A cookie for somebody who has shown the token."""
        told = f"{int(self._clock()) + SESSION_SECONDS}.{secrets.token_hex(16)}"
        return f"{told}.{self._mac('session', told)}"

    def holds(self, cookie: str) -> bool:
        """Whether the cookie is one of ours and not over."""
        told, _dot, mac = cookie.rpartition(".")
        end = told.partition(".")[0]
        if not self.possible or not hmac.compare_digest(_bytes(mac), _bytes(self._mac("session", told))):
            return False
        return end.isascii() and end.isdigit() and int(end) > self._clock()

    def word(self, cookie: str) -> str:
        """What has to come along with this cookie."""
        return self._mac("csrf", cookie)

    def is_word(self, cookie: str, given: str) -> bool:
        """Whether that came along."""
        return hmac.compare_digest(_bytes(given), _bytes(self.word(cookie)))

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose} {text}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
