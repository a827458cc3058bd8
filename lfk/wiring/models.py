"""Model weights: the folder of the settings, the store's models, and a hub where one is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.location import Location
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.places import store_root

if TYPE_CHECKING:
    from lfk.engine.models.base import HubSupplier, Progress
    from lfk.engine.models.library import ModelLibrary
    from lfk.roles.models import StoredModels

#: Below the state folder: hashes of model files that have not changed since.
_HASHES = "lfk/model-hashes.json"


def models_folder(settings: Settings) -> Path:
    """LFK_MODELS_FOLDER."""
    return Path(settings.models_folder).expanduser().absolute()


def hashes_file(settings: Settings) -> Path:
    """Where hashes of model files are remembered."""
    return Path(settings.state_home).expanduser().absolute() / _HASHES


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
    from lfk.engine.models import library

    return library.open_library(
        models_folder(settings),
        hashes_file(settings),
        store=None if store is None else stored_models(settings, store, progress),
        hub=None if store is None else _hub(settings, progress),
    )


def _hub(settings: Settings, progress: Progress | None) -> HubSupplier | None:
    if settings.hf_offline:
        return None
    from lfk.engine.models.hubs import ModelHubs

    return ModelHubs(settings.hf_token or None, progress)
