"""Every setting of lfk, declared once: its name, default, meaning and command-line flag.

Declarations only; :mod:`lfk.environment` fills them. Long because there are many settings, flat because users look
them up here: a setting is one entry, and the flags, ``.env.example`` and the reference page come from it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
#: More than anybody counts, and still a number for every library that is given one.
_LARGEST_COUNT = (1 << 31) - 1
#: A hundred years: what is waited for that long never comes, and clocks still count it.
_LONGEST = 100 * 365 * 86400.0


def _flag(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("expected true or false")


def _bytes(text: str) -> int:
    """``2097164``, ``512M``, ``4GiB``."""
    digits = text.strip().lower().removesuffix("ib").removesuffix("b")
    unit = digits[-1:] if digits[-1:] in "kmgt" else ""
    value = float(digits.removesuffix(unit)) * _UNITS[unit]
    if not 0 <= value < float("inf"):
        raise ValueError("expected a size that is not negative")
    return int(value)


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _command(text: str) -> tuple[str, ...]:
    """A program and its arguments, with quotes as in a shell and nothing else of one."""
    return tuple(shlex.split(text))


def _pairs(text: str) -> Mapping[str, str]:
    pairs = {}
    for part in _words(text):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise ValueError("expected name=value, separated by commas")
        pairs[name.strip()] = value.strip()
    return pairs


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("expected a number that is not negative")
    if value > _LARGEST_COUNT:
        raise ValueError(f"expected a number up to {_LARGEST_COUNT}")
    return value


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError("expected a number above 0 and up to 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= _LONGEST:
        raise ValueError("expected seconds, at most a hundred years")
    return value


def _price(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError("expected a price that is not negative")
    return value


def _age(text: str) -> float:
    """``3600``, ``90m``, ``12h``, ``30d``, ``2w``: in seconds."""
    digits = text.strip().lower()
    unit = digits[-1:] if digits[-1:] in _AGES else "s"
    return _seconds(str(float(digits.removesuffix(unit)) * _AGES[unit]))


@dataclass(frozen=True, slots=True)
class Spec:
    """What is known of one setting besides its value."""

    env: str
    help: str
    group: str
    parse: Callable[[str], Any]
    flag: str | None
    older: tuple[str, ...]
    choices: tuple[str, ...]
    secret: bool
    metavar: str

    @property
    def is_switch(self) -> bool:
        """The flag takes no value."""
        return self.parse is _flag

    @property
    def is_list(self) -> bool:
        """The value has several words, separated by commas."""
        return self.parse is _words


def _setting(
    env: str,
    default: Any,
    help: str,
    group: str,
    *,
    parse: Callable[[str], Any] = str,
    flag: str | None = None,
    older: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    secret: bool = False,
    metavar: str = "",
) -> Any:
    spec = Spec(env, help, group, parse, flag, older, choices, secret, metavar or env.rpartition("_")[2])
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata={"spec": spec})
    return field(default=default, metadata={"spec": spec})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values in force. Sizes are bytes, times are seconds unless the name says otherwise."""

    # --- where things are
    store: str = _setting(
        "LFK_STORE", "lfk-data", "store: s3://bucket/prefix, file:///dir or a folder", "store", flag="--store"
    )
    audio: str = _setting("LFK_AUDIO", "", "audio root, if not <store>/audio", "store")
    transcripts: str = _setting("LFK_TRANSCRIPTS", "", "transcripts root, if not <store>/transcripts", "store")
    video_bucket: str = _setting("VIDEO_BUCKET", "", "older name: bucket of LFK_AUDIO", "store")
    transcript_bucket: str = _setting("TRANSCRIPT_BUCKET", "", "older name: bucket of LFK_TRANSCRIPTS", "store")
    allowed: tuple[str, ...] = _setting(
        "LFK_ALLOWED", (), "further prefixes that references may point into", "store", parse=_words
    )
    endpoint_url: str = _setting(
        "AWS_ENDPOINT_URL_S3", "", "S3 endpoint, for MinIO and others", "store", older=("AWS_ENDPOINT_URL",)
    )
    region: str = _setting("AWS_REGION", "", "S3 region", "store", older=("AWS_DEFAULT_REGION",))
    access_key: str = _setting("AWS_ACCESS_KEY_ID", "", "S3 access key; unset means boto3's own chain", "store")
    secret_key: str = _setting("AWS_SECRET_ACCESS_KEY", "", "S3 secret key", "store", secret=True)
    session_token: str = _setting("AWS_SESSION_TOKEN", "", "S3 session token", "store", secret=True)
    s3_addressing: str = _setting(
        "LFK_S3_ADDRESSING", "auto", "how buckets are addressed", "store", choices=("auto", "path", "virtual")
    )
    s3_checksums: str = _setting(
        "LFK_S3_CHECKSUMS", "auto", "request checksums", "store", choices=("auto", "when_required", "when_supported")
    )
    s3_conditional: str = _setting(
        "LFK_S3_CONDITIONAL", "auto", "conditional writes", "store", choices=("auto", "on", "off")
    )

    # --- broker
    bootstrap: str = _setting(
        "BOOTSTRAP_SERVERS", "", "Kafka brokers; empty means the embedded broker", "broker", flag="--bootstrap-servers"
    )
    api_key: str = _setting("API_KEY", "", "Kafka (Confluent Cloud) key; sets SASL_SSL and PLAIN", "broker")
    api_secret: str = _setting("API_SECRET", "", "Kafka (Confluent Cloud) secret", "broker", secret=True)
    registry_url: str = _setting("SCHEMA_REGISTRY_URL", "", "Schema Registry; empty means bare UTF-8 JSON", "broker")
    registry_key: str = _setting("SCHEMA_REGISTRY_KEY", "", "Schema Registry key", "broker")
    registry_secret: str = _setting("SCHEMA_REGISTRY_SECRET", "", "Schema Registry secret", "broker", secret=True)
    registry_ca: str = _setting(
        "LFK_SCHEMA_REGISTRY_CA", "", "file with the Schema Registry's authority, if not the system's", "broker"
    )
    schema_type: str = _setting("SCHEMA_TYPE", "JSON", "how messages are written", "broker", choices=("JSON", "Avro"))
    topic_audio: str = _setting("LFK_TOPIC_AUDIO", "lfk.audio", "topic of fresh references", "broker")
    topic_bulk: str = _setting("LFK_TOPIC_BULK", "lfk.audio.bulk", "topic of bulk references", "broker")
    topic_chunks: str = _setting("LFK_TOPIC_CHUNKS", "lfk.chunks", "topic of audio in messages", "broker")
    topic_transcripts: str = _setting("LFK_TOPIC_TRANSCRIPTS", "lfk.transcripts", "topic of announcements", "broker")
    topic_retry: str = _setting("LFK_TOPIC_RETRY", "lfk.audio.retry", "topic of references to be tried again", "broker")
    topic_dlq: str = _setting("LFK_TOPIC_DLQ", "lfk.audio.dlq", "topic of dead letters", "broker")
    group: str = _setting("LFK_GROUP", "lfk-hub", "consumer group of the hubs", "broker")
    instance: str = _setting(
        "LFK_INSTANCE",
        "",
        "static name of this hub in its group, one of its own each; a restart within the session time-out then "
        "moves no partitions",
        "broker",
    )
    partitions: int = _setting(
        "LFK_PARTITIONS",
        12,
        "partitions of topics that init creates (≥ 4 × workers in all)",
        "broker",
        parse=_count,
        flag="--partitions",
    )
    replication: int = _setting(
        "LFK_REPLICATION",
        0,
        "replication factor of created topics; 0 means the broker's default",
        "broker",
        parse=_count,
        flag="--replication",
    )
    transactions: str = _setting(
        "LFK_TRANSACTIONS",
        "auto",
        "announcement and offsets in one transaction",
        "broker",
        choices=("auto", "on", "off"),
    )
    kafka: Mapping[str, str] = field(default_factory=dict)

    # --- audio-driven way
    max_message_size: int = _setting(
        "MAX_MESSAGE_SIZE", 2097164, "largest chunk message in bytes", "chunks", parse=_bytes
    )
    audio_size_ratio: float = _setting(
        "AUDIO_SIZE_RATIO", 0.4, "part of a chunk message that is audio (Avro)", "chunks", parse=_ratio
    )
    json_ratio: float = _setting(
        "JSON_RATIO", 0.3, "part of a chunk message that is audio (JSON)", "chunks", parse=_ratio
    )

    chunk_group: str = _setting("LFK_CHUNKS_GROUP", "lfk-chunks", "consumer group of the gateways", "chunks")
    chunk_timeout: float = _setting(
        "LFK_CHUNK_TIMEOUT",
        900.0,
        "seconds that the next chunk of an audio may take",
        "chunks",
        parse=_seconds,
        flag="--chunk-timeout",
    )

    # --- getting audio in
    source: str = _setting("SOURCE_FOLDER", "", "folder that sync and up read when none is named", "sync")
    layout: str = _setting(
        "LFK_LAYOUT",
        "approach",
        "how the folder is laid out",
        "sync",
        flag="--layout",
        choices=("approach", "course", "free"),
    )
    prefix: str = _setting(
        "LFK_SYNC_PREFIX", "", "put below approach and model, so that machines keep apart", "sync", flag="--prefix"
    )
    approach: str = _setting(
        "LFK_APPROACH", "", "approach of these references; wins over the path", "sync", flag="--approach"
    )
    model: str = _setting("LFK_MODEL", "", "model of these references; wins over the path", "sync", flag="--model")
    options: Mapping[str, str] = _setting(
        "LFK_OPTIONS", {}, "job options k=v, separated by commas", "sync", parse=_pairs
    )
    include: tuple[str, ...] = _setting(
        "LFK_INCLUDE", (), "only files that match these patterns", "sync", parse=_words, flag="--include"
    )
    exclude: tuple[str, ...] = _setting(
        "LFK_EXCLUDE", (), "no files that match these patterns", "sync", parse=_words, flag="--exclude"
    )
    transfers: int = _setting("LFK_TRANSFERS", 8, "uploads at a time", "sync", parse=_count, flag="--transfers")
    settle: float = _setting(
        "LFK_SETTLE", 1.0, "seconds a file must stay unchanged before it is uploaded", "sync", parse=_seconds
    )
    extract_audio: bool = _setting(
        "LFK_EXTRACT_AUDIO",
        False,
        "send the audio of videos alone, 16 kHz mono; needs lfk[hub]",
        "sync",
        parse=_flag,
        flag="--extract-audio",
    )
    extract_format: str = _setting(
        "LFK_EXTRACT_FORMAT",
        "flac",
        "form of that audio: flac loses nothing, opus is about a fifth of it",
        "sync",
        flag="--extract-format",
        choices=("flac", "opus"),
    )
    delete_source: bool = _setting(
        "LFK_DELETE_SOURCE",
        False,
        "delete each file once its stored copy is verified",
        "sync",
        parse=_flag,
        flag="--delete-source",
    )
    move_to: str = _setting(
        "LFK_MOVE_TO",
        "",
        "move each file there once its stored copy is verified",
        "sync",
        flag="--move-to",
        metavar="DIR",
    )
    after: str = _setting(
        "LFK_AFTER",
        "upload",
        "what must be verified before a source is deleted or moved",
        "sync",
        flag="--after",
        choices=("upload", "transcript"),
    )
    done_marker: bool = _setting(
        "LFK_DONE_MARKER",
        False,
        "put a marker (done.txt) beside the recordings once all of them are in the store",
        "sync",
        parse=_flag,
        flag="--done-marker",
    )
    watch: bool = _setting(
        "LFK_WATCH", False, "go on: upload what appears or changes", "sync", parse=_flag, flag="--watch"
    )
    watch_by: str = _setting(
        "LFK_WATCH_BY",
        "auto",
        "how changes are noticed: scans where the filesystem tells of none",
        "sync",
        choices=("auto", "events", "scans"),
    )
    rescan: float = _setting(
        "LFK_RESCAN", 300.0, "seconds between full scans of a watched folder", "sync", parse=_seconds
    )
    poll: float = _setting("LFK_POLL", 10.0, "seconds between scans where no changes are told", "sync", parse=_seconds)
    sweep_after: float = _setting(
        "LFK_SWEEP_AFTER",
        86400.0,
        "seconds after which an upload that was broken off is removed from the store; 0 means never",
        "sync",
        parse=_seconds,
    )
    sync_source: str = _setting(
        "LFK_SYNC_SOURCE", "", "who uploads, kept with each object; empty means this machine and folder", "sync"
    )
    state_home: str = _setting(
        "LFK_STATE_HOME",
        "~/.local/state",
        "lfk/ in it remembers what was sent; may be deleted",
        "sync",
        older=("XDG_STATE_HOME",),
    )
    default_approach: str = _setting("LFK_DEFAULT_APPROACH", "simple", "approach of paths that name none", "sync")
    default_model: str = _setting("LFK_DEFAULT_MODEL", "tiny", "model of paths that name none", "sync")

    # --- listen
    listen_source: str = _setting(
        "LFK_LISTEN_SOURCE",
        "minio",
        "what tells of new objects",
        "listen",
        flag="--source",
        choices=("minio", "sqs", "webhook"),
    )
    listen_on: str = _setting(
        "LFK_LISTEN_ON",
        "each",
        "refer to each object, or to all below a prefix once its done-marker is there",
        "listen",
        flag="--on",
        choices=("each", "done-marker"),
    )
    marker_name: str = _setting("LFK_MARKER_NAME", "done.txt", "name of done-markers", "listen", flag="--marker-name")
    listen_reconcile: float = _setting(
        "LFK_LISTEN_RECONCILE",
        900.0,
        "seconds between looks for what no notification told of; 0 means only where some may be lost",
        "listen",
        parse=_seconds,
        flag="--reconcile",
    )
    listen_queue: str = _setting("LFK_LISTEN_QUEUE", "", "SQS queue: its URL or name", "listen", flag="--queue")
    sqs_endpoint: str = _setting("AWS_ENDPOINT_URL_SQS", "", "SQS endpoint, if not AWS's", "listen")
    webhook_address: str = _setting(
        "LFK_WEBHOOK_ADDRESS",
        "127.0.0.1:8790",
        "host:port that notifications are posted to",
        "listen",
        flag="--address",
    )
    webhook_token: str = _setting(
        "LFK_WEBHOOK_TOKEN", "", "what senders have to bear; needed beyond loopback", "listen", secret=True
    )

    # --- hub
    workers: int = _setting(
        "LFK_WORKERS", 0, "engines at a time; 0 means one per core (CPU) or GPU", "hub", parse=_count, flag="--workers"
    )
    threads: int = _setting("LFK_THREADS", 1, "threads of each engine", "hub", parse=_count, flag="--threads")
    device: str = _setting(
        "LFK_DEVICE", "auto", "where engines compute", "hub", flag="--device", choices=("auto", "cpu", "cuda")
    )
    max_jobs: int = _setting(
        "LFK_MAX_JOBS", 0, "stop after that many jobs; 0 means never", "hub", parse=_count, flag="--max-jobs"
    )
    exit_when_idle: float = _setting(
        "LFK_EXIT_WHEN_IDLE",
        0.0,
        "stop after that many seconds without work (more than a session of the group lasts, 45); 0 means never",
        "hub",
        parse=_seconds,
        flag="--exit-when-idle",
    )
    prefetch: int = _setting("LFK_PREFETCH", 2, "audios fetched ahead of the engines", "hub", parse=_count)
    scratch: str = _setting("MAIN_NODE_TEMP_FOLDER", "", "the hub's scratch folder; empty means the system's", "hub")
    scratch_bytes: int = _setting(
        "LFK_SCRATCH_BYTES", 20 << 30, "most that fetched audio may take in scratch", "hub", parse=_bytes
    )
    transcriptions_folder: str = _setting(
        "MAIN_NODE_TRANSCRIPTIONS_FOLDER", "", "local folder that also gets each transcript", "hub"
    )
    formats: tuple[str, ...] = _setting(
        "LFK_FORMATS", ("txt", "srt", "vtt", "json", "html"), "output formats", "hub", parse=_words
    )
    timestamps: bool = _setting("TIMESTAMPS", True, "write times into txt", "hub", parse=_flag)
    pause: float = _setting("LFK_PAUSE", 0.5, "seconds of silence that begin a new paragraph", "hub", parse=_seconds)
    central_backups: bool = _setting(
        "CENTRAL_BACKUPS", True, "keep stored audio after its transcript is announced", "hub", parse=_flag
    )
    backups_grace: float = _setting(
        "LFK_BACKUPS_GRACE",
        86400.0,
        "how long audio stays after its transcript is announced where CENTRAL_BACKUPS is false: seconds, or such as "
        "90m, 12h, 7d",
        "hub",
        parse=_age,
        metavar="AGE",
    )
    grace: float = _setting(
        "LFK_GRACE", 30.0, "seconds that running jobs get to finish on SIGTERM", "hub", parse=_seconds
    )
    attempts: int = _setting("LFK_ATTEMPTS", 3, "attempts before a dead letter", "hub", parse=_count)
    backoff: float = _setting("LFK_BACKOFF", 5.0, "seconds before the second attempt", "hub", parse=_seconds)
    backoff_factor: float = _setting(
        "LFK_BACKOFF_FACTOR", 2.0, "how much longer each further wait is", "hub", parse=_seconds
    )
    breaker: int = _setting(
        "LFK_BREAKER",
        5,
        "audios in a row that the engines may fail before the hub tries its engines itself, and takes no work while "
        "they fail; 0 means never",
        "hub",
        parse=_count,
    )
    health: str = _setting(
        "LFK_HEALTH",
        "",
        "host:port that answers /healthz, /readyz and /metrics; empty means none",
        "hub",
        flag="--health",
    )
    backlog_interval: float = _setting(
        "LFK_BACKLOG_INTERVAL",
        15.0,
        "seconds between measurements of what waits, where metrics are served; 0 means never",
        "hub",
        parse=_seconds,
    )
    trim_interval: float = _setting(
        "LFK_TRIM_INTERVAL",
        300.0,
        "seconds between removals of answered references from their topics; 0 means never",
        "hub",
        parse=_seconds,
    )
    settle_interval: float = _setting(
        "LFK_COMMIT_INTERVAL", 0.2, "seconds over which finished jobs share a transaction", "hub", parse=_seconds
    )
    max_audio_bytes: int = _setting(
        "LFK_MAX_AUDIO_BYTES", 10 << 30, "largest audio that is fetched", "hub", parse=_bytes
    )
    max_duration: float = _setting("LFK_MAX_DURATION", 12 * 3600.0, "longest audio in seconds", "hub", parse=_seconds)

    # --- engine
    engine: str = _setting(
        "LFK_ENGINE", "whisperx", "speech engine; canned is for rehearsals", "engine", choices=("whisperx", "canned")
    )
    canned_seconds: float = _setting(
        "LFK_CANNED_SECONDS", 0.0, "how long the canned engine takes", "engine", parse=_seconds
    )
    models: tuple[str, ...] = _setting(
        "LFK_MODELS", (), "models that references may ask for; empty means all known", "engine", parse=_words
    )
    model_fallbacks: Mapping[str, str] = _setting(
        "LFK_MODEL_FALLBACKS",
        {"tiny": "tiny.en"},
        "what serves a model whose own weights are not at hand",
        "engine",
        parse=_pairs,
    )
    models_folder: str = _setting("LFK_MODELS_FOLDER", "models", "folder of model weights", "engine")
    model_idle: float = _setting(
        "LFK_MODEL_IDLE_TIMEOUT",
        900.0,
        "seconds after which an engine unloads a model that nobody used; 0 means never",
        "engine",
        parse=_seconds,
    )
    model_memory: int = _setting(
        "LFK_MODEL_MEMORY",
        0,
        "bytes of weights that an engine keeps loaded; 0 means half of its memory",
        "engine",
        parse=_bytes,
    )
    compute_type: str = _setting(
        "LFK_COMPUTE_TYPE",
        "auto",
        "number format; auto is int8 on cpu, float16 on cuda",
        "engine",
        choices=("auto", "int8", "int8_float16", "float16", "bfloat16", "float32"),
    )
    batch_size: int = _setting(
        "LFK_BATCH_SIZE", 0, "speech regions in one batch; 0 fits it to the device", "engine", parse=_count
    )
    engine_start_timeout: float = _setting(
        "LFK_ENGINE_START_TIMEOUT", 180.0, "seconds an engine may take to start", "engine", parse=_seconds
    )
    job_timeout_base: float = _setting(
        "LFK_JOB_TIMEOUT_BASE", 120.0, "seconds any job may take, besides the factor", "engine", parse=_seconds
    )
    job_timeout_factor: float = _setting(
        "LFK_JOB_TIMEOUT_FACTOR", 10.0, "seconds a job may take per second of audio", "engine", parse=_seconds
    )
    engine_memory: int = _setting(
        "LFK_ENGINE_MEMORY", 0, "most memory of one engine; 0 means a share of the machine's", "engine", parse=_bytes
    )
    engine_recycle_jobs: int = _setting(
        "LFK_ENGINE_RECYCLE_JOBS", 500, "jobs after which an engine is replaced; 0 means never", "engine", parse=_count
    )
    engine_recycle_memory: int = _setting(
        "LFK_ENGINE_RECYCLE_MEMORY",
        0,
        "an engine that has grown and holds more than this between jobs is replaced; 0 means 3/4 of its memory",
        "engine",
        parse=_bytes,
    )
    hf_home: str = _setting("HF_HOME", "", "Hugging Face cache", "engine")
    hf_token: str = _setting(
        "HF_TOKEN", "", "Hugging Face token, used only where the hub is allowed", "engine", secret=True
    )
    hf_offline: bool = _setting("HF_HUB_OFFLINE", True, "never reach the Hugging Face hub", "engine", parse=_flag)

    # --- transcripts
    output: str = _setting(
        "LOCAL_NODE_OUTPUT_FOLDER", "", "folder for transcripts that are downloaded", "transcripts", flag="--out"
    )
    follow: bool = _setting("LFK_FOLLOW", False, "go on with what comes", "transcripts", parse=_flag, flag="--follow")
    start_from: str = _setting(
        "LFK_FROM", "", "beginning, end, a time such as 2026-01-31T08:00, or 24h (ago)", "transcripts", flag="--from"
    )
    format: tuple[str, ...] = _setting(
        "LFK_FORMAT", (), "formats to print or download", "transcripts", parse=_words, flag="--format"
    )
    links: bool = _setting("LFK_LINKS", False, "make a link for every file", "transcripts", parse=_flag, flag="--links")
    link_seconds: int = _setting(
        "LFK_LINK_SECONDS", 3600, "how long links work", "transcripts", parse=_count, flag="--link-seconds"
    )
    filter: tuple[str, ...] = _setting(
        "LFK_FILTER",
        (),
        "only announcements with status=, approach=, model=, language=, path=PATTERN, batch=",
        "transcripts",
        parse=_words,
        flag="--filter",
        metavar="NAME=VALUE",
    )
    command: tuple[str, ...] = _setting(
        "LFK_EXEC", (), "program and arguments to run for each transcript, see --exec", "transcripts", parse=_command
    )
    command_timeout: float = _setting(
        "LFK_EXEC_TIMEOUT",
        600.0,
        "seconds that the command may take for one transcript",
        "transcripts",
        parse=_seconds,
        flag="--exec-timeout",
    )
    command_attempts: int = _setting(
        "LFK_EXEC_ATTEMPTS",
        3,
        "how often a command that fails is run in all",
        "transcripts",
        parse=_count,
        flag="--exec-attempts",
    )
    transcripts_group: str = _setting(
        "LFK_TRANSCRIPTS_GROUP",
        "",
        "consumer group of `transcripts --follow` with --out or --exec; empty means one per machine and folder or "
        "command",
        "transcripts",
    )

    # --- web
    web: str = _setting("LFK_WEB", "127.0.0.1:8080", "host:port of the web page", "web", flag="--bind")
    web_token: str = _setting(
        "LFK_WEB_TOKEN", "", "what whoever changes something has to show; empty: nobody can", "web", secret=True
    )
    web_hosts: tuple[str, ...] = _setting(
        "LFK_WEB_HOSTS",
        (),
        "names under which the page is reached, besides addresses and localhost",
        "web",
        parse=_words,
        flag="--hosts",
    )
    web_max_upload: int = _setting(
        "LFK_WEB_MAX_UPLOAD", 4 << 30, "largest recording that the page takes", "web", parse=_bytes, flag="--max-upload"
    )

    # --- choosing among what is there
    since: str = _setting(
        "LFK_SINCE", "", "from then on: a time such as 2026-01-31T08:00, or 24h (ago)", "choosing", flag="--since"
    )
    until: str = _setting("LFK_UNTIL", "", "before then; written as --since", "choosing", flag="--until")
    limit: int = _setting("LFK_LIMIT", 0, "at most that many; 0 means all", "choosing", parse=_count, flag="--limit")

    # --- cleanup
    cleanup_older_than: float = _setting(
        "LFK_CLEANUP_OLDER_THAN",
        7 * 86400.0,
        "least age of what cleanup deletes: seconds, or such as 12h, 30d, 2w",
        "cleanup",
        parse=_age,
        flag="--older-than",
        metavar="AGE",
    )
    cleanup_yes: bool = _setting(
        "LFK_CLEANUP_YES",
        False,
        "delete; without it cleanup only says what it would",
        "cleanup",
        parse=_flag,
        flag="--yes",
    )

    # --- report
    report_style: str = _setting(
        "LFK_REPORT_STYLE",
        "markdown",
        "how the report is written",
        "report",
        flag="--style",
        choices=("markdown", "csv"),
    )
    price_hour: float = _setting(
        "LFK_PRICE_HOUR",
        0.0,
        "what one engine costs an hour; 0 leaves cost out",
        "report",
        parse=_price,
        flag="--price",
    )
    currency: str = _setting("LFK_CURRENCY", "", "what the price is in, any text", "report", flag="--currency")
    image_bytes: int = _setting(
        "LFK_IMAGE_BYTES",
        0,
        "size of the container image, where it is known",
        "report",
        parse=_bytes,
        flag="--image-bytes",
    )

    # --- dead letters
    dlq_causes: tuple[str, ...] = _setting(
        "LFK_DLQ_CAUSE",
        (),
        "failures with these error codes",
        "dlq",
        parse=_words,
        flag="--cause",
        metavar="CODE",
    )
    dlq_key: str = _setting(
        "LFK_DLQ_KEY",
        "",
        "failures of this audio or, with a / at its end, of all below this prefix",
        "dlq",
        flag="--key",
        metavar="LOCATION",
    )
    dlq_bulk: bool = _setting(
        "LFK_DLQ_BULK", False, "retry behind fresh uploads, on the bulk topic", "dlq", parse=_flag, flag="--bulk"
    )

    # --- batch work
    only: tuple[str, ...] = _setting(
        "LFK_ONLY",
        ("all",),
        "which audio: all, or some of missing, failed, stale",
        "batch",
        parse=_words,
        flag="--only",
    )
    force: bool = _setting(
        "LFK_FORCE", False, "transcribe anew what is transcribed already", "batch", parse=_flag, flag="--force"
    )
    resume: str = _setting("LFK_RESUME", "", "go on with this batch, which was interrupted", "batch", flag="--resume")
    batch: str = _setting("LFK_BATCH", "", "tell how far this batch is", "batch", flag="--batch")
    from_file: str = _setting(
        "LFK_FROM_FILE", "", "file with one location a line; - is standard input", "batch", flag="--from-file"
    )
    trust: bool = _setting(
        "LFK_TRUST",
        False,
        "send what a list names without looking whether it is there",
        "batch",
        parse=_flag,
        flag="--trust",
    )
    deep: bool = _setting(
        "LFK_DEEP",
        False,
        "read every file of every transcript and compare its sha256",
        "batch",
        parse=_flag,
        flag="--deep",
    )

    # --- demo
    demo_folder: str = _setting("LFK_DEMO_FOLDER", "lfk-demo", "folder of the demo", "demo", flag="--dir")

    # --- measuring
    bench_rounds: int = _setting(
        "LFK_BENCH_ROUNDS", 3, "rounds of each way in `lfk bench`", "bench", parse=_count, flag="--rounds"
    )
    bench_files: int = _setting(
        "LFK_BENCH_FILES", 12, "recordings in a round, repeated if need be", "bench", parse=_count, flag="--recordings"
    )

    # --- everywhere
    live: bool = _setting("LFK_LIVE", False, "go on showing how the work goes", "output", parse=_flag, flag="--live")
    live_seconds: float = _setting(
        "LFK_LIVE_SECONDS", 2.0, "seconds between two looks of that", "output", parse=_seconds
    )
    json: bool = _setting("LFK_JSON", False, "one JSON object a line", "output", parse=_flag, flag="--json")
    dry_run: bool = _setting(
        "LFK_DRY_RUN", False, "say what would be done, change nothing", "output", parse=_flag, flag="--dry-run"
    )
    otlp_endpoint: str = _setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "OpenTelemetry collector that gets traces over HTTP, such as http://collector:4318; needs lfk[otel]",
        "output",
    )
    otlp_traces_endpoint: str = _setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "the same with its path, …/v1/traces; wins", "output"
    )
    otlp_headers: Mapping[str, str] = _setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        {},
        "headers for the collector, such as authorization=…; separated by commas",
        "output",
        parse=_pairs,
        secret=True,
    )
    service_name: str = _setting(
        "OTEL_SERVICE_NAME", "", "what traces call this process; empty means lfk-hub, lfk-sync, …", "output"
    )
    status_serve: bool = _setting(
        "LFK_STATUS_SERVE", False, "serve what waits as metrics until stopped", "output", parse=_flag, flag="--serve"
    )
    log_level: str = _setting(
        "LFK_LOG_LEVEL",
        "",
        "debug, info, warning or error; -v and -q set it too",
        "output",
        choices=("debug", "info", "warning", "error"),
    )
    log_format: str = _setting(
        "LFK_LOG_FORMAT", "text", "how log lines are written", "output", choices=("text", "json")
    )

    #: Where each value came from: flag, environment, .env or default; by environment name.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)


#: Of librdkafka's settings those that hold secrets (`sasl.password`, `ssl.key.pem`, `sasl.oauthbearer.config`, …).
_KAFKA_SECRETS = re.compile(r"password|secret|pem$|token|jaas|oauthbearer\.config")


#: In an address.
_PASSWORD = re.compile(r"://[^/?#@\s]*?:([^/?#@\s]+)@")


def is_kafka_secret(name: str) -> bool:
    """Whether a setting of librdkafka, by its own name, holds a secret."""
    return _KAFKA_SECRETS.search(name) is not None


def specs() -> Mapping[str, Spec]:
    """Every declared setting by field name, in order."""
    return {f.name: f.metadata["spec"] for f in fields(Settings) if "spec" in f.metadata}


def secrets(settings: Settings) -> tuple[str, ...]:
    """The values in force that nobody may see."""
    values = [getattr(settings, name) for name, spec in specs().items() if spec.secret]
    own = [text for value in values for text in (value.values() if isinstance(value, Mapping) else (value,))]
    # Who speaks to a collector or a registry may have its password in the address.
    plain = [value for name in specs() if isinstance(value := getattr(settings, name), str)]
    inside = [password for value in plain for password in _PASSWORD.findall(value)]
    kafka = [value for name, value in settings.kafka.items() if is_kafka_secret(name)]
    return tuple(value for value in (*own, *inside, *kafka) if value)


def parse_value(spec: Spec, text: str) -> Any:
    """Parse the text of one setting.

    Raises:
        ValueError: it is not of the setting's form.
    """
    if spec.choices:
        for choice in spec.choices:
            if choice.lower() == text.lower():
                return choice
        raise ValueError(f"expected one of {', '.join(spec.choices)}")
    return spec.parse(text)


def value_text(spec: Spec, value: Any) -> str:
    """A setting's value as it would be written: :func:`parse_value` reads it back, except that empty is unset."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{name}={text}" for name, text in value.items())
    if spec.parse is _command:
        return shlex.join(value)
    if isinstance(value, tuple):
        return ",".join(value)
    if spec.parse is _bytes and value:
        letter, unit = max((item for item in _UNITS.items() if value % item[1] == 0), key=lambda item: item[1])
        return f"{value // unit}{letter.upper()}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
