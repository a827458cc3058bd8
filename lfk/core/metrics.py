"""Every metric that lfk exports, declared once: what docs, dashboard and alerts are checked against.

``lfk_<role>_<what>_<unit>``. Counters end in ``_total``; times are seconds, sizes bytes. docs/observability.md says how
they are meant.
"""

from __future__ import annotations

from collections.abc import Mapping

from lfk.core.readings import Metric

#: From what a skip takes to what a day of audio takes.
_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
#: From a part of the page to a recording of some gigabytes on its way in.
_ANSWERS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
_RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


def _counter(name: str, help: str, *labels: str) -> Metric:
    """One that events add to."""
    return Metric(name, "counter", help, labels, told=True)


def _sum(name: str, help: str, *labels: str) -> Metric:
    """One that somebody keeps already, to be looked up."""
    return Metric(name, "counter", help, labels)


def _histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, "histogram", help, labels, buckets, told=True)


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, "gauge", help, labels)


# --- every role that serves

BUILD = _gauge("lfk_build_info", "Always 1; which lfk this is.", "version")
READY = _gauge("lfk_ready", "1 where /readyz answers 200.", "role")
LAST_POLL = _gauge("lfk_last_poll_timestamp_seconds", "When the role's thread last turned, since the epoch.", "role")

# --- hub: what was answered

JOBS = _counter(
    "lfk_hub_jobs_total", "Answered references; outcome is done, reused or failed.", "approach", "model", "outcome"
)
FAILURES = _counter("lfk_hub_failures_total", "References answered as failed.", "code", "stage")
DEAD_LETTERS = _counter("lfk_hub_dead_letters_total", "Dead letters, one for each reference answered as failed.")
RETRIES = _sum("lfk_hub_retries_total", "Attempts that failed and are tried again later.")
AUDIO = _counter(
    "lfk_hub_audio_seconds_total",
    "Seconds of audio in references answered as done or reused.",
    "approach",
    "model",
    "outcome",
)
STAGE = _histogram(
    "lfk_hub_stage_seconds",
    "Seconds that a stage of a job took; queued is the wait in the topic.",
    _SECONDS,
    "stage",
    "model",
)
RTFX = _histogram(
    "lfk_hub_rtfx",
    "Seconds of audio for each second of engine work (RTFx), by job.",
    _RATES,
    "approach",
    "model",
)

# --- hub: how it is

ENGINES = _gauge("lfk_hub_engines", "Engines; state is all, ready or busy.", "state")
ENGINE_RESTARTS = _sum(
    "lfk_hub_engine_restarts_total", "Engines replaced; reason is failed, or recycled as planned.", "reason"
)
ENGINE_MEMORY = _gauge("lfk_hub_engine_memory_bytes", "Memory that an engine holds.", "engine")
RUNNING = _gauge("lfk_hub_jobs_running", "Jobs in the hands of threads, by where they are.", "stage")
QUEUE = _gauge("lfk_hub_queue_depth", "References taken in and not settled.", "lane")
PARTITIONS = _gauge("lfk_hub_partitions", "Partitions that are this hub's.", "lane")
TROUBLE = _gauge("lfk_hub_trouble", "1 while this part keeps the hub from working.", "part")

# --- what waits for all hubs of the group

BACKLOG_REFERENCES = _gauge("lfk_backlog_references", "References that nobody has answered yet.", "lane")
BACKLOG_AUDIO = _gauge(
    "lfk_backlog_audio_seconds", "Seconds of audio in them, judged by file sizes where nobody told.", "lane"
)
BACKLOG_OLDEST = _gauge("lfk_backlog_oldest_seconds", "Age of the oldest of them; 0 where nothing waits.", "lane")
BACKLOG_LOOKED = _gauge("lfk_backlog_looked_timestamp_seconds", "When the backlog was looked at, since the epoch.")

# --- sync --watch

SYNC_FILES = _sum("lfk_sync_files_total", "Files that came to their end.", "outcome")
SYNC_FAILURES = _counter("lfk_sync_failures_total", "Files that failed.", "code")
SYNC_BYTES = _counter("lfk_sync_uploaded_bytes_total", "Bytes of files that were uploaded.")
SYNC_SECONDS = _histogram(
    "lfk_sync_file_seconds", "Seconds from finding a file that is uploaded to its confirmed reference.", _SECONDS
)
SYNC_REFERENCES = _sum("lfk_sync_references_total", "References that were sent and confirmed.")
SYNC_OPEN = _gauge("lfk_sync_open_files", "Files under way.")
SYNC_OUTAGES = _counter("lfk_sync_outages_total", "Outages of store or broker that ended a session.", "code")
SYNC_SCANNED = _gauge("lfk_sync_last_scan_timestamp_seconds", "When a scan last came to its end, since the epoch.")

# --- listen

LISTEN_EVENTS = _sum("lfk_listen_notifications_total", "Objects, events and messages told of or found.", "outcome")
LISTEN_FAILURES = _counter("lfk_listen_failures_total", "Objects that could not be referred to.", "code")
LISTEN_FOUND = _sum("lfk_listen_found_total", "References to audio that was found by looking.")
LISTEN_BYTES = _sum("lfk_listen_referred_bytes_total", "Bytes of audio that was referred to.")
LISTEN_ROUNDS = _sum("lfk_listen_rounds_total", "Looks into the store.")
LISTEN_OUTAGES = _counter("lfk_listen_outages_total", "Outages of source, store or broker.", "code")

# --- chunks gateway

CHUNKS_AUDIOS = _sum(
    "lfk_chunks_audios_total", "Audios that came to their end; outcome is joined or failed.", "outcome"
)
CHUNKS_FAILURES = _counter("lfk_chunks_failures_total", "Audios that could not be joined.", "code")
CHUNKS_BYTES = _sum("lfk_chunks_joined_bytes_total", "Bytes of audio that was joined and stored.")
CHUNKS_OPEN = _gauge("lfk_chunks_open_chunks", "Chunks taken in and not settled.")
CHUNKS_SPOOL = _gauge("lfk_chunks_spool_ratio", "Part of the spool that is filled; reading stops at 0.9.")

# --- transcripts --follow

TRANSCRIPTS_SEEN = _sum("lfk_transcripts_announcements_total", "Announcements taken.", "status")
TRANSCRIPTS_FILES = _sum("lfk_transcripts_files_total", "Files kept; outcome is fetched or unchanged.", "outcome")
TRANSCRIPTS_RAN = _sum("lfk_transcripts_commands_total", "Commands that succeeded.")
TRANSCRIPTS_PROBLEMS = _sum(
    "lfk_transcripts_problems_total", "Announcements refused, files not to be had, commands that failed."
)

# --- web

WEB_REQUESTS = _counter(
    "lfk_web_requests_total",
    "Answered requests, by the pattern of their address and the class of the answer's status.",
    "method",
    "route",
    "status",
)
WEB_SECONDS = _histogram(
    "lfk_web_request_seconds",
    "Seconds from a request's head to the beginning of its answer; what is uploaded comes in between.",
    _ANSWERS,
    "route",
)
WEB_UPLOADS = _counter(
    "lfk_web_uploads_total",
    "Recordings taken in and referred to; outcome is new, or known where it was there.",
    "outcome",
)
WEB_FAILURES = _counter("lfk_web_upload_failures_total", "Recordings that were not taken in.", "code")
WEB_BYTES = _counter("lfk_web_uploaded_bytes_total", "Bytes of recordings that were stored.")
WEB_CALLS = _gauge("lfk_web_calls", "Calls of store, broker and disk that run or wait; from 80 on answers are 503.")

#: What each role exports besides :data:`EVERYWHERE`.
BY_ROLE: Mapping[str, tuple[Metric, ...]] = {
    "hub": (
        JOBS, FAILURES, DEAD_LETTERS, RETRIES, AUDIO, STAGE, RTFX, ENGINES, ENGINE_RESTARTS, ENGINE_MEMORY, RUNNING,
        QUEUE, PARTITIONS, TROUBLE,
    ),
    "backlog": (BACKLOG_REFERENCES, BACKLOG_AUDIO, BACKLOG_OLDEST, BACKLOG_LOOKED),
    "sync": (
        SYNC_FILES, SYNC_FAILURES, SYNC_BYTES, SYNC_SECONDS, SYNC_REFERENCES, SYNC_OPEN, SYNC_OUTAGES, SYNC_SCANNED,
    ),
    "listen": (LISTEN_EVENTS, LISTEN_FAILURES, LISTEN_FOUND, LISTEN_BYTES, LISTEN_ROUNDS, LISTEN_OUTAGES),
    "chunks": (CHUNKS_AUDIOS, CHUNKS_FAILURES, CHUNKS_BYTES, CHUNKS_OPEN, CHUNKS_SPOOL),
    "transcripts": (TRANSCRIPTS_SEEN, TRANSCRIPTS_FILES, TRANSCRIPTS_RAN, TRANSCRIPTS_PROBLEMS),
    "web": (WEB_REQUESTS, WEB_SECONDS, WEB_UPLOADS, WEB_FAILURES, WEB_BYTES, WEB_CALLS),
}  # fmt: skip
EVERYWHERE = (BUILD, READY, LAST_POLL)
