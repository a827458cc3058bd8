"""Which names are recordings, and the media type of each: decided by suffix alone, as nothing here opens a file.

Refused: hidden names (``.x.wav``; rsync and macOS write such) and therefore every temporary name that programs give
a file while they write it (``x.wav.part``, ``x.wav~``, ``x.wav.crdownload``), as none ends in a media suffix.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Suffix in lower case to media type (RFC 2046; audio types as registered with IANA or in common use).
MEDIA_TYPES: Mapping[str, str] = {
    # audio
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "m4b": "audio/mp4",
    "mka": "audio/x-matroska",
    "mp2": "audio/mpeg",
    "mp3": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
    "wma": "audio/x-ms-wma",
    # video
    "3gp": "video/3gpp",
    "avi": "video/x-msvideo",
    "flv": "video/x-flv",
    "m2ts": "video/mp2t",
    "m4v": "video/mp4",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "mts": "video/mp2t",
    "mxf": "application/mxf",
    "ogv": "video/ogg",
    "ts": "video/mp2t",
    "webm": "video/webm",
    "wmv": "video/x-ms-wmv",
}


def is_media(name: str) -> bool:
    """Whether a file or object of that name (without its folder) is taken for a recording."""
    return not name.startswith(".") and content_type(name) is not None


def content_type(name: str) -> str | None:
    """The media type that the suffix of ``name`` stands for; None if it is no media suffix."""
    stem, dot, suffix = name.rpartition(".")
    return MEDIA_TYPES.get(suffix.lower()) if stem and dot else None
