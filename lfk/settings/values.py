"""All settings together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from lfk.settings.batch import BatchSettings
from lfk.settings.bench import BenchSettings
from lfk.settings.broker import BrokerSettings
from lfk.settings.choosing import ChoosingSettings
from lfk.settings.chunks import ChunkSettings
from lfk.settings.cleanup import CleanupSettings
from lfk.settings.declaring import Spec
from lfk.settings.demo import DemoSettings
from lfk.settings.dlq import DeadLetterSettings
from lfk.settings.engine import EngineSettings
from lfk.settings.hub import HubSettings
from lfk.settings.listen import ListenSettings
from lfk.settings.output import OutputSettings
from lfk.settings.report import ReportSettings
from lfk.settings.store import StoreSettings
from lfk.settings.sync import SyncSettings
from lfk.settings.transcripts import TranscriptSettings
from lfk.settings.web import WebSettings


@dataclass(frozen=True, kw_only=True)
class Settings(
    StoreSettings,
    BrokerSettings,
    ChunkSettings,
    SyncSettings,
    ListenSettings,
    HubSettings,
    EngineSettings,
    TranscriptSettings,
    WebSettings,
    ChoosingSettings,
    CleanupSettings,
    ReportSettings,
    DeadLetterSettings,
    BatchSettings,
    DemoSettings,
    BenchSettings,
    OutputSettings,
):
    """The values in force. Sizes are bytes, times are seconds unless the name says otherwise.

    Users meet the subjects in the order of these bases.
    """

    #: Where each value came from: flag, environment, .env or default; by environment name.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)


def specs() -> Mapping[str, Spec]:
    """Every declared setting by field name, in order."""
    # A dataclass lists its own fields from the last base to the first.
    declared = (one for subject in Settings.__bases__ if is_dataclass(subject) for one in fields(subject))
    return {one.name: one.metadata["spec"] for one in declared if "spec" in one.metadata}
