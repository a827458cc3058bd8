"""The speech engine and its models."""

from __future__ import annotations

from lfk.core.errors.base import ExitCode, Kind, LfkError, Suspect


class EngineError(LfkError):
    """The speech engine failed on this job."""

    code = "engine_error"
    kind = Kind.TRANSIENT
    suspect = Suspect.ENGINE
    hint = "it is tried again; `lfk dlq show` tells more once it has given up"


class EngineCrashed(EngineError):
    """The engine process died."""

    code = "engine_crashed"


class EngineOutOfMemory(EngineError):
    """The engine passed its memory limit, or the device has no memory left."""

    code = "engine_out_of_memory"
    hint = "raise LFK_ENGINE_MEMORY, use fewer workers or a smaller model"


class EngineTimeout(EngineError):
    """The engine took longer than the audio's length allows."""

    code = "engine_timeout"
    hint = "raise LFK_JOB_TIMEOUT_FACTOR, use more threads or a smaller model"


class EngineUnavailable(EngineError):
    """No engine can be started on this machine: fatal for the hub, not for the audio."""

    code = "engine_unavailable"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "install the engine with `pip install 'lfk[hub]'`, or run `lfk doctor`"


class StageFailed(EngineError):
    """A stage raised an error of its own."""

    code = "stage_failed"


class ModelMissing(LfkError):
    """Weights that are nowhere to be found on this hub: that job's failure, not the hub's."""

    code = "model_missing"
    suspect = Suspect.MODEL
    hint = "fetch it with `lfk models pull NAME`, or put it into models/"


class ModelInvalid(LfkError):
    """Weights that are truncated, of a wrong hash, or not safe to load."""

    code = "model_invalid"
    suspect = Suspect.MODEL
    hint = "delete them and run `lfk models pull NAME`; `lfk models verify` checks all"
