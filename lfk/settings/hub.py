"""The hub: its workers, scratch, attempts, and what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "hub")


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    workers: int = setting(
        "LFK_WORKERS", 0, "engines at a time; 0 means one per core (CPU) or GPU", parse=forms.count, flag="--workers"
    )
    threads: int = setting("LFK_THREADS", 1, "threads of each engine", parse=forms.count, flag="--threads")
    device: str = setting(
        "LFK_DEVICE", "auto", "where engines compute", flag="--device", choices=("auto", "cpu", "cuda")
    )
    max_jobs: int = setting(
        "LFK_MAX_JOBS", 0, "stop after that many jobs; 0 means never", parse=forms.count, flag="--max-jobs"
    )
    exit_when_idle: float = setting(
        "LFK_EXIT_WHEN_IDLE",
        0.0,
        "stop after that many seconds without work (more than a session of the group lasts, 45); 0 means never",
        parse=forms.seconds,
        flag="--exit-when-idle",
    )
    prefetch: int = setting("LFK_PREFETCH", 2, "audios fetched ahead of the engines", parse=forms.count)
    scratch: str = setting(
        "MAIN_NODE_TEMP_FOLDER", "", "scratch folder of hub, gateway and page; empty means the system's"
    )
    scratch_bytes: int = setting(
        "LFK_SCRATCH_BYTES", 20 << 30, "most that audio on its way may take in scratch", parse=forms.size
    )
    transcriptions_folder: str = setting(
        "MAIN_NODE_TRANSCRIPTIONS_FOLDER", "", "local folder that also gets each transcript"
    )
    formats: tuple[str, ...] = setting(
        "LFK_FORMATS", ("txt", "srt", "vtt", "json", "html"), "output formats", parse=forms.words
    )
    timestamps: bool = setting("TIMESTAMPS", True, "write times into txt", parse=forms.flag)
    pause: float = setting("LFK_PAUSE", 0.5, "seconds of silence that begin a new paragraph", parse=forms.seconds)
    central_backups: bool = setting(
        "CENTRAL_BACKUPS", True, "keep stored audio after its transcript is announced", parse=forms.flag
    )
    backups_grace: float = setting(
        "LFK_BACKUPS_GRACE",
        86400.0,
        "how long audio stays after its transcript is announced where CENTRAL_BACKUPS is false: seconds, or such as "
        "90m, 12h, 7d",
        parse=forms.age,
        metavar="AGE",
    )
    grace: float = setting("LFK_GRACE", 30.0, "seconds that running jobs get to finish on SIGTERM", parse=forms.seconds)
    attempts: int = setting("LFK_ATTEMPTS", 3, "attempts before a dead letter", parse=forms.count)
    backoff: float = setting("LFK_BACKOFF", 5.0, "seconds before the second attempt", parse=forms.seconds)
    backoff_factor: float = setting(
        "LFK_BACKOFF_FACTOR", 2.0, "how much longer each further wait is", parse=forms.seconds
    )
    breaker: int = setting(
        "LFK_BREAKER",
        5,
        "audios in a row that the engines may fail before the hub tries its engines itself, and takes no work while "
        "they fail; 0 means never",
        parse=forms.count,
    )
    health: str = setting(
        "LFK_HEALTH",
        "",
        "host:port that answers /healthz, /readyz and /metrics; empty means none",
        flag="--health",
    )
    backlog_interval: float = setting(
        "LFK_BACKLOG_INTERVAL",
        15.0,
        "seconds between measurements of what waits, where metrics are served; 0 means never",
        parse=forms.seconds,
    )
    trim_interval: float = setting(
        "LFK_TRIM_INTERVAL",
        300.0,
        "seconds between removals of answered references from their topics; 0 means never",
        parse=forms.seconds,
    )
    settle_interval: float = setting(
        "LFK_COMMIT_INTERVAL", 0.2, "seconds over which finished jobs share a transaction", parse=forms.seconds
    )
    max_audio_bytes: int = setting("LFK_MAX_AUDIO_BYTES", 10 << 30, "largest audio that is fetched", parse=forms.size)
    max_duration: float = setting("LFK_MAX_DURATION", 12 * 3600.0, "longest audio in seconds", parse=forms.seconds)
