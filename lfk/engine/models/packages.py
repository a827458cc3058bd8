"""Weights that come with an installed package or with lfk itself. Nothing of a package is imported to find them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lfk.core.model_manifest import Kind, Source
from lfk.resources import resource


def folder_of(source: Source) -> Path | None:
    """The folder of a source that needs no network; None if its package is not installed."""
    if source.kind is Kind.SHIPPED:
        try:
            return resource(source.at)
        except FileNotFoundError:
            return None
    spec = importlib.util.find_spec(source.at)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / source.folder
