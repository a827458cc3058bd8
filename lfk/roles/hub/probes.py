"""Looks at a hub's own parts: each raises what is wrong with one, and costs no job anything."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from lfk.core.addressing import Roots
from lfk.core.errors import LfkError, ModelMissing, StoreUnreachable, Suspect
from lfk.core.manifest import Rendering
from lfk.core.options import parse_options
from lfk.engine.base import EngineKind, ModelIdentity, Task
from lfk.engine.pool import EnginePool
from lfk.roles.hub.scratch import Scratch
from lfk.stores.base import ObjectStore

#: As much as the longer files of a transcript have: a connection may let little things pass and break off at these.
_PROBE_BYTES = 64 << 10


class Probes:
    """The looks of one hub, called from its job threads."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        roots: Roots,
        scratch: Scratch,
        kind: EngineKind,
        pool: EnginePool,
        models: tuple[str, ...],
        speech: Path,
        rendering: Rendering,
        stop: threading.Event,
        registry_answers: Callable[[], None],
    ) -> None:
        """``models``: the exact default model and what serves in its place; ``speech``: a recording that is well.

        ``registry_answers`` raises where the Schema Registry does not.
        """
        self._store = store
        self._roots = roots
        self._scratch = scratch
        self._kind = kind
        self._pool = pool
        self._models = models
        self._speech = speech
        self._options = parse_options({}, None, rendering).values
        self._stop = stop
        self._registry_answers = registry_answers

    def by_suspect(self) -> Mapping[Suspect, Callable[[], None]]:
        """One look for every part that can be at fault."""
        return {
            Suspect.STORE: self.store_works,
            Suspect.REGISTRY: self._registry_answers,
            Suspect.SCRATCH: self._scratch.check,
            Suspect.MODEL: self.model_is_there,
            Suspect.ENGINE: self.engine_works,
        }

    def store_works(self) -> None:
        """This hub can list its audio, and write and read records as large as transcripts are.

        Raises:
            LfkError: what the store answers instead.
        """
        self._store.check(self._roots.audio)
        probe = self._roots.records.join(f"probes/{socket.gethostname()}")
        content = b"ok".ljust(_PROBE_BYTES)
        self._store.put(probe, content, content_type="text/plain")
        if self._store.read(probe, limit=_PROBE_BYTES)[0] != content:
            # Another hub of this machine writes the same bytes, so these are nobody's.
            raise StoreUnreachable(f"{probe}: what is read there is not what was written")

    def model_is_there(self) -> None:
        """The weights of the default model, or of what serves in its place, are at hand.

        Raises:
            ModelMissing, ModelInvalid: they are not.
        """
        self._default_model()

    def engine_works(self) -> None:
        """An engine transcribes speech of our own; waits for one to be free.

        Raises:
            LfkError: what the engine says instead.
        """
        with self._scratch.job(0, self._stop) as folder, self._pool.engine() as engine:
            engine.run(
                Task(
                    audio=self._speech,
                    sha256=hashlib.sha256(self._speech.read_bytes()).hexdigest(),
                    stages=("transcribe",),
                    model=self._default_model().name,
                    options=self._options,
                    scratch=folder,
                )
            )

    def _default_model(self) -> ModelIdentity:
        problem: LfkError = ModelMissing("there is no default model")
        for model in self._models:
            try:
                return self._kind.identify(model)
            except ModelMissing as error:
                problem = error
        raise problem
