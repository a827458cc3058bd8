"""The environment of an engine's process: what libraries need to start, never a secret, never a way to the network.

An allow-list: credentials of stores and brokers, tokens and everything unknown stay with the hub. A model hub's
token reaches an engine only where the wiring adds it on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_INHERITED = """
    PATH HOME USER LOGNAME LANG LANGUAGE TZ TMPDIR TEMP TMP LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH PYTHONPATH
    PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CUDA_VISIBLE_DEVICES CUDA_HOME CUDA_PATH CUDA_DEVICE_ORDER
    NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES XDG_CACHE_HOME HF_HOME PYTORCH_CUDA_ALLOC_CONF
    """
_NAMES = frozenset(_INHERITED.split())
_PREFIXES = ("LC_",)

#: Every library that would count, phone home or fetch, told not to.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PYANNOTE_METRICS_ENABLED": "0",
    "OTEL_SDK_DISABLED": "true",
}
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def engine_environment(inherited: Mapping[str, str], threads: int, sentence_data: Path | None = None) -> dict[str, str]:
    """The whole environment of a child that computes with ``threads`` threads.

    Thread counts are read when the libraries are loaded, so they have to be there before. ``sentence_data`` is the
    folder that NLTK finds its sentence splitters in.
    """
    environment = {n: v for n, v in inherited.items() if n in _NAMES or n.startswith(_PREFIXES)}
    environment |= _OFFLINE
    environment |= dict.fromkeys(_THREADS, str(threads))
    # Forked tokenizers warn and stall; an engine's threads are counted above.
    environment["TOKENIZERS_PARALLELISM"] = "false"
    environment["PYTHONUNBUFFERED"] = "1"
    if sentence_data is not None:
        environment["NLTK_DATA"] = str(sentence_data)
    return environment
