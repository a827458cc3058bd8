"""The speech engine: its models, limits and device formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "engine")


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    engine: str = setting(
        "LFK_ENGINE", "whisperx", "speech engine; canned is for rehearsals", choices=("whisperx", "canned")
    )
    canned_seconds: float = setting("LFK_CANNED_SECONDS", 0.0, "how long the canned engine takes", parse=forms.seconds)
    models: tuple[str, ...] = setting(
        "LFK_MODELS", (), "models that references may ask for; empty means all known", parse=forms.words
    )
    model_fallbacks: Mapping[str, str] = setting(
        "LFK_MODEL_FALLBACKS",
        {"tiny": "tiny.en"},
        "what serves a model whose own weights are not at hand",
        parse=forms.pairs,
    )
    models_folder: str = setting("LFK_MODELS_FOLDER", "models", "folder of model weights")
    model_idle: float = setting(
        "LFK_MODEL_IDLE_TIMEOUT",
        900.0,
        "seconds after which an engine unloads a model that nobody used; 0 means never",
        parse=forms.seconds,
    )
    model_memory: int = setting(
        "LFK_MODEL_MEMORY",
        0,
        "bytes of weights that an engine keeps loaded; 0 means half of its memory",
        parse=forms.size,
    )
    compute_type: str = setting(
        "LFK_COMPUTE_TYPE",
        "auto",
        "number format; auto is int8 on cpu, float16 on cuda",
        choices=("auto", "int8", "int8_float16", "float16", "bfloat16", "float32"),
    )
    batch_size: int = setting(
        "LFK_BATCH_SIZE", 0, "speech regions in one batch; 0 fits it to the device", parse=forms.count
    )
    engine_start_timeout: float = setting(
        "LFK_ENGINE_START_TIMEOUT", 180.0, "seconds an engine may take to start", parse=forms.seconds
    )
    job_timeout_base: float = setting(
        "LFK_JOB_TIMEOUT_BASE", 120.0, "seconds any job may take, besides the factor", parse=forms.seconds
    )
    job_timeout_factor: float = setting(
        "LFK_JOB_TIMEOUT_FACTOR", 10.0, "seconds a job may take per second of audio", parse=forms.seconds
    )
    engine_memory: int = setting(
        "LFK_ENGINE_MEMORY", 0, "most memory of one engine; 0 means a share of the machine's", parse=forms.size
    )
    engine_recycle_jobs: int = setting(
        "LFK_ENGINE_RECYCLE_JOBS", 500, "jobs after which an engine is replaced; 0 means never", parse=forms.count
    )
    engine_recycle_memory: int = setting(
        "LFK_ENGINE_RECYCLE_MEMORY",
        0,
        "an engine that has grown and holds more than this between jobs is replaced; 0 means 3/4 of its memory",
        parse=forms.size,
    )
    hf_home: str = setting("HF_HOME", "", "Hugging Face cache")
    hf_token: str = setting("HF_TOKEN", "", "Hugging Face token, used only where the hub is allowed", secret=True)
    hf_offline: bool = setting("HF_HUB_OFFLINE", True, "never reach the Hugging Face hub", parse=forms.flag)
