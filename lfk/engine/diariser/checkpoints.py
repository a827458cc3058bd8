"""Reading torch checkpoints without running what is inside them.

A pickled checkpoint can name any function and have it called. pyannote.audio unpickles checkpoints freely, so none
is ever handed to it: the file is read here with ``weights_only=True``, the few classes that known checkpoints
mention are replaced by records that do nothing, and the model is built from plain numbers and tensors. Anything
else in a checkpoint is refused as :class:`ModelInvalid`, before a byte of it has had any effect.

Converted checkpoints (safetensors, see :mod:`lfk.engine.models.convert`) are read as well, and give the same models.
The segmentation checkpoint serves two users: the diariser, and WhisperX's voice activity detection.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

from lfk.core.errors import ModelInvalid, ModelMissing

# Ten times the size of any checkpoint that is read here; a larger file is not one of them.
MAX_CHECKPOINT_BYTES = 200_000_000
SEGMENTATION_ARCHITECTURE = "PyanNet"
# Value of pyannote's Problem.MULTI_LABEL_CLASSIFICATION and Resolution.FRAME, as old checkpoints hold them.
MULTI_LABEL = 2
PER_FRAME = 1
#: Where a converted checkpoint keeps what is no tensor, as JSON.
HEADER = "lfk"
_HYPER_PARAMETERS = ("sincnet", "lstm", "linear", "sample_rate", "num_channels")


class Record:
    """What a class named in a checkpoint becomes: its arguments and its state, and no behaviour."""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


# Classes that pyannote's and Lightning's checkpoints mention beside tensors and plain values.
_INERT = (
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "pyannote.audio.core.model.Introspection",
    "pyannote.audio.core.task.Problem",
    "pyannote.audio.core.task.Resolution",
    "pyannote.audio.core.task.Specifications",
    "torch.torch_version.TorchVersion",
    "typing.Any",
)
_PLAIN = (
    (dict, "builtins.dict"),
    (list, "builtins.list"),
    (int, "builtins.int"),
    (defaultdict, "collections.defaultdict"),
)


def read_checkpoint(path: Path, limit: int = MAX_CHECKPOINT_BYTES) -> dict[str, Any]:
    """Read a checkpoint of at most ``limit`` bytes as plain values and tensors on the CPU.

    Raises ModelMissing if there is no such file, ModelInvalid if it is too large, truncated, not a checkpoint, or
    mentions a class or function outside the short list above.
    """
    import torch

    try:
        if path.stat().st_size > limit:
            raise ModelInvalid(f"{path.name} is larger than {limit} bytes, so it is no model of ours")
        data = path.read_bytes()
    except OSError as error:
        raise ModelMissing(f"cannot read the model file {path.name}: {error.strerror}") from error
    allowed: list[Any] = [(type("Inert", (Record,), {}), name) for name in _INERT]
    try:
        with torch.serialization.safe_globals([*allowed, *_PLAIN]), warnings.catch_warnings():
            # What it may not be able to read, it refuses; that is enough to say.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelInvalid(f"{path.name} is not a checkpoint that can be loaded safely") from error
    if not isinstance(content, dict):
        raise ModelInvalid(f"{path.name} holds no model")
    return content


def read_converted(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plan (what is no tensor) and the tensors of a converted checkpoint.

    Raises as :func:`read_checkpoint`.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelMissing(f"cannot read the model file {path.name}: No such file or directory")
    try:
        with safe_open(path, "pt") as file:
            plan = json.loads((file.metadata() or {})[HEADER])
            return plan, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelInvalid(f"{path.name} is not a model that lfk converted") from error


def segmentation_plan(checkpoint: dict[str, Any], name: str) -> dict[str, Any]:
    """What builds the network of a segmentation checkpoint, as plain JSON values.

    Raises:
        ModelInvalid: it is of another architecture.
    """
    try:
        about = checkpoint["pyannote.audio"]
        if about["architecture"]["class"] != SEGMENTATION_ARCHITECTURE:
            raise ModelInvalid(f"{name} is no {SEGMENTATION_ARCHITECTURE} segmentation model")
        stated = about["specifications"].state
        if (stated["problem"].args, stated["resolution"].args) != ((MULTI_LABEL,), (PER_FRAME,)):
            raise ModelInvalid(f"{name} does not tell speakers apart frame by frame")
        return {
            "hyper_parameters": {key: checkpoint["hyper_parameters"][key] for key in _HYPER_PARAMETERS},
            "duration": float(stated["duration"]),
            "classes": [str(label) for label in stated["classes"]],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelInvalid(f"{name} is not a segmentation model of the known form") from error


def load_segmentation(path: Path) -> Any:
    """Build pyannote's PyanNet from a segmentation checkpoint (float32, CPU, evaluation mode).

    The returned model stands wherever pyannote or WhisperX take a ``pyannote.audio.Model``. Raises as
    :func:`read_checkpoint`, and ModelInvalid if the checkpoint is of another architecture or its tensors don't fit.
    """
    with warnings.catch_warnings():
        # It looks for a decoder, and says at length that there is none; it is given samples, never files.
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed", category=UserWarning)
        from pyannote.audio.core.task import Problem, Resolution, Specifications
        from pyannote.audio.models.segmentation import PyanNet

    if path.suffix == ".safetensors":
        plan, tensors = read_converted(path)
    else:
        checkpoint = read_checkpoint(path)
        plan, tensors = segmentation_plan(checkpoint, path.name), checkpoint.get("state_dict", {})
    try:
        model: Any = PyanNet(**{name: plan["hyper_parameters"][name] for name in _HYPER_PARAMETERS})
        model.specifications = Specifications(
            problem=Problem(MULTI_LABEL),
            resolution=Resolution(PER_FRAME),
            duration=plan["duration"],
            warm_up=(0.0, 0.0),
            classes=plan["classes"],
            permutation_invariant=True,
        )
        model.build()
        model.load_state_dict(tensors)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelInvalid(f"{path.name} is not a segmentation model of the known form") from error
    return model.eval()
