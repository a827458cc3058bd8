"""Model weights: the folder of the settings, the store's models, and a hub where one is allowed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.location import Location
from lfk.core.model_manifest import Manifest, parse_manifest
from lfk.resources import resource
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.places import store_root

if TYPE_CHECKING:
    from lfk.engine.models.base import HubSupplier, Progress
    from lfk.engine.models.library import ModelLibrary
    from lfk.roles.models import StoredModels

#: Below the state folder: hashes of model files that have not changed since.
_HASHES = "lfk/model-hashes.json"


@cache
def model_manifest() -> Manifest:
    """The manifest that came with this lfk."""
    return parse_manifest(resource("models/manifest.json").read_text(encoding="utf-8"))


def models_root(settings: Settings) -> Location:
    """``<store>/models/``."""
    return store_root(settings).join("models").as_prefix()


def stored_models(settings: Settings, store: ObjectStore, progress: Progress | None = None) -> StoredModels:
    """The models of the store."""
    from lfk.roles.models import StoredModels

    return StoredModels(store, models_root(settings), progress)


def open_library(settings: Settings, store: ObjectStore | None, progress: Progress | None = None) -> ModelLibrary:
    """All weights that this machine can use; without a store, those that are on it.

    ``progress`` is told of every byte that is fetched.
    """
    from lfk.engine.models.folder import ModelsFolder
    from lfk.engine.models.hashes import HashMemory
    from lfk.engine.models.library import ModelLibrary

    return ModelLibrary(
        model_manifest(),
        ModelsFolder(Path(settings.models_folder).expanduser().absolute()),
        HashMemory(Path(settings.state_home).expanduser().absolute() / _HASHES),
        store=None if store is None else stored_models(settings, store, progress),
        hub=None if store is None else _hub(settings, progress),
    )


def _hub(settings: Settings, progress: Progress | None) -> HubSupplier | None:
    if settings.hf_offline:
        return None
    from lfk.engine.models.hubs import ModelHubs

    return ModelHubs(settings.hf_token or None, progress)
