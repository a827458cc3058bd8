"""The languages that Whisper knows, by the codes it uses (ISO 639-1, with ``haw``, ``yue`` and its own ``jw``)."""

from __future__ import annotations

_CODES = """
    af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is
    it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk
    sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh
    """
LANGUAGES = frozenset(_CODES.split())

#: Codes in common use that Whisper writes in another way.
_SPELT = {"jv": "jw", "nb": "no", "iw": "he", "in": "id", "fil": "tl", "cmn": "zh"}

#: Detect it for each speech region, as one recording holds several languages.
MULTI = "multi"
#: Detect it once for the recording; the default.
AUTO = "auto"


def find_language(text: str) -> str | None:
    """The code that ``text`` means: ``EN``, ``en-GB`` and ``en_US`` are ``en``. None where there is none."""
    code = text.strip().lower().replace("_", "-").partition("-")[0]
    code = _SPELT.get(code, code)
    return code if code in LANGUAGES else None
