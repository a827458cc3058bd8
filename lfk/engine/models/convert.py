"""Pickled checkpoints into safetensors: the same tensors in a file that can hold nothing but tensors.

Converting reads a checkpoint safely (:func:`read_checkpoint`) and is repeatable: the same checkpoint gives the same
bytes. Only the forms that lfk loads are converted; the little that a network needs beside its tensors is written as
JSON into the file's own header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfk.core.errors import ModelInvalid
from lfk.engine.diariser.checkpoints import HEADER, read_checkpoint, segmentation_plan

#: The largest aligner that WhisperX names has a billion parameters, 4 GB.
MAX_LARGE_BYTES = 8 << 30
_ENCODER_LAYERS = ("lstm.", "linear.")


def read_large_checkpoint(path: Path) -> dict[str, Any]:
    """As :func:`read_checkpoint`, for aligners.

    Raises as it.
    """
    return read_checkpoint(path, MAX_LARGE_BYTES)


def convert_wav2vec2(source: Path, target: Path) -> None:
    """A ``pytorch_model.bin`` of transformers.

    Raises as :func:`read_checkpoint`, and ModelInvalid if it holds more than tensors.
    """
    _save(read_large_checkpoint(source), target, {"format": "pt"}, source.name)


def convert_segmentation(source: Path, target: Path) -> None:
    """A segmentation checkpoint of pyannote.

    Raises as :func:`read_checkpoint`, and ModelInvalid if it is of another kind.
    """
    checkpoint = read_checkpoint(source)
    plan = segmentation_plan(checkpoint, source.name)
    _save(checkpoint["state_dict"], target, {HEADER: json.dumps(plan, sort_keys=True)}, source.name)


def convert_encoder(source: Path, target: Path) -> None:
    """Resemblyzer's checkpoint; what only its training needed is left out.

    Raises as :func:`read_checkpoint`, and ModelInvalid if it is of another kind.
    """
    stored = read_checkpoint(source).get("model_state")
    if not isinstance(stored, Mapping):
        raise ModelInvalid(f"{source.name} is not a speaker encoder of the known form")
    _save({k: v for k, v in stored.items() if k.startswith(_ENCODER_LAYERS)}, target, {HEADER: "{}"}, source.name)


def _save(tensors: Mapping[str, Any], target: Path, header: dict[str, str], name: str) -> None:
    import torch
    from safetensors.torch import save_file

    if not tensors or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise ModelInvalid(f"{name} holds something else than tensors")
    # Tensors that share memory cannot be saved as they are.
    save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, target, header)
