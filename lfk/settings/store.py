"""Where audio, transcripts and records are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "store")


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    store: str = setting("LFK_STORE", "lfk-data", "store: s3://bucket/prefix, file:///dir or a folder", flag="--store")
    audio: str = setting("LFK_AUDIO", "", "audio root, if not <store>/audio")
    transcripts: str = setting("LFK_TRANSCRIPTS", "", "transcripts root, if not <store>/transcripts")
    video_bucket: str = setting("VIDEO_BUCKET", "", "older name: bucket of LFK_AUDIO")
    transcript_bucket: str = setting("TRANSCRIPT_BUCKET", "", "older name: bucket of LFK_TRANSCRIPTS")
    allowed: tuple[str, ...] = setting(
        "LFK_ALLOWED", (), "further prefixes that references may point into", parse=forms.words
    )
    endpoint_url: str = setting(
        "AWS_ENDPOINT_URL_S3", "", "S3 endpoint, for MinIO and others", older=("AWS_ENDPOINT_URL",)
    )
    region: str = setting("AWS_REGION", "", "S3 region", older=("AWS_DEFAULT_REGION",))
    access_key: str = setting("AWS_ACCESS_KEY_ID", "", "S3 access key; unset means boto3's own chain")
    secret_key: str = setting("AWS_SECRET_ACCESS_KEY", "", "S3 secret key", secret=True)
    session_token: str = setting("AWS_SESSION_TOKEN", "", "S3 session token", secret=True)
    s3_addressing: str = setting(
        "LFK_S3_ADDRESSING", "auto", "how buckets are addressed", choices=("auto", "path", "virtual")
    )
    s3_checksums: str = setting(
        "LFK_S3_CHECKSUMS", "auto", "request checksums", choices=("auto", "when_required", "when_supported")
    )
    s3_conditional: str = setting("LFK_S3_CONDITIONAL", "auto", "conditional writes", choices=("auto", "on", "off"))
