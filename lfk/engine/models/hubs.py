"""Weights from the network: the Hugging Face hub, and the few addresses that the manifest names.

Used only where the operator allows it. What is asked for comes from the manifest alone; a token goes to the Hugging
Face hub and nowhere else, and none that lies about on the machine is picked up. Nothing here looks into files.
"""

from __future__ import annotations

import errno
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lfk.core.errors import ModelInvalid, ModelMissing, Unreachable, UnsupportedFeature
from lfk.core.model_manifest import Entry, Kind, Locked, Pin, Source
from lfk.engine.models.base import Progress
from lfk.engine.models.forms import FILES
from lfk.engine.models.hashes import hash_file

log = logging.getLogger(__name__)

#: A hub that does not send a byte for so long does not answer.
_QUIET_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20
#: More than twice the largest model that the manifest names.
_MAX_FILE_BYTES = 10 << 30
#: An aligner's weights, the safe form first.
_ALIGNER_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO})
_HINT = "check the network and its proxy, or bring the files another way: `lfk models adopt FOLDER`"


class ModelHubs:
    """See :class:`lfk.engine.models.base.HubSupplier`."""

    def __init__(self, token: str | None, progress: Progress | None = None, endpoint: str | None = None) -> None:
        """``endpoint``: a mirror of the Hugging Face hub; None means the hub itself."""
        self._token = token
        self._progress = progress or _ignore
        self._endpoint = endpoint

    def fetch(self, entry: Entry, source: Source, known: Locked | None, into: Path) -> Locked:
        """See :class:`lfk.engine.models.base.HubSupplier`."""
        if source.kind is Kind.ADDRESS:
            return self._from_address(source, into)
        with _typed(entry, source):
            return self._from_hub(source, known, into)

    def _from_hub(self, source: Source, known: Locked | None, into: Path) -> Locked:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        # False, not None: a token that was left in a home folder is nobody's decision.
        token = self._token or False
        revision = known.revision if known is not None else source.revision
        info = HfApi(endpoint=self._endpoint, token=token).model_info(
            source.at, revision=revision, files_metadata=True, timeout=_QUIET_SECONDS
        )
        there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        for file in _wanted(source, there):
            hf_hub_download(
                source.at,
                file,
                revision=info.sha,
                local_dir=into,
                token=token,
                endpoint=self._endpoint,
                etag_timeout=_QUIET_SECONDS,
            )
            self._progress((into / file).stat().st_size)
        files = {file: _received(into / file, there.get(file)) for file in _wanted(source, there)}
        licence = getattr(info.card_data, "license", None)
        return Locked(source.at, info.sha, source.form, files, licence=str(licence) if licence else None)

    def _from_address(self, source: Source, into: Path) -> Locked:
        if urlsplit(source.at).scheme != "https":
            raise ModelInvalid(f"{source.at} is no https address")
        ((file, pin),) = source.files.items()
        limit = pin.size if pin.size is not None else _MAX_FILE_BYTES
        try:
            self._download(source.at, into / file, limit)
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise Unreachable(f"{source.at} answers {error.code}", hint=_HINT) from error
            raise ModelMissing(f"{source.at} answers {error.code}", hint=_HINT) from error
        except (HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise
            raise Unreachable(f"{source.at} cannot be fetched: {error}", hint=_HINT) from error
        return Locked(source.at, source.revision, source.form, {file: _received(into / file, None)})

    def _download(self, address: str, path: Path, limit: int) -> None:
        opener = urllib.request.build_opener(_SafeRedirects())
        with opener.open(address, timeout=_QUIET_SECONDS) as answer, path.open("wb") as target:
            announced = answer.headers.get("Content-Length")
            while block := answer.read(_BLOCK_BYTES):
                target.write(block)
                self._progress(len(block))
                if target.tell() > limit:
                    raise ModelInvalid(f"{address} sends more than the {limit:,} bytes that were expected")
            if announced is not None and target.tell() != int(announced):
                raise Unreachable(f"{address} broke off after {target.tell():,} of {int(announced):,} bytes")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never off https."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https":
            raise ModelInvalid(f"{req.full_url} redirects to an address that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _wanted(source: Source, there: dict[str, Any]) -> list[str]:
    if source.files:
        return sorted(source.files)
    weights = [file for file in _ALIGNER_WEIGHTS if file in there][:1]
    return [file for file in FILES[source.form] if file in there and file not in _ALIGNER_WEIGHTS] + weights


def _received(path: Path, sibling: Any) -> Pin:
    """What a file is, after comparing it with what the hub says of it (it has hashes of large files only)."""
    got = Pin(path.stat().st_size, hash_file(path))
    lfs = getattr(sibling, "lfs", None)
    said = Pin(getattr(sibling, "size", None), lfs.sha256 if lfs is not None else None)
    if got.size is None or got.sha256 is None or not said.allows(got.size, got.sha256):
        raise ModelInvalid(f"{path.name} is not what the hub says it is; it may have been cut off on the way")
    return got


@contextmanager
def _typed(entry: Entry, source: Source) -> Iterator[None]:
    """What huggingface_hub raises, in lfk's words."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise UnsupportedFeature(
            "fetching from the Hugging Face hub is not installed", hint="install it with `pip install 'lfk[hub]'`"
        ) from error
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelMissing(
            f"{source.at} is handed out to accounts that have accepted its terms",
            hint=f"accept them at https://huggingface.co/{source.at}, then set HF_TOKEN to a token of that account",
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise Unreachable(f"the Hugging Face hub cannot be reached for {source.at}", hint=_HINT) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise ModelMissing(f"{entry.name}: the hub has no {source.at} of that revision, or not for you") from error
    except OSError as error:
        # Errors of the connection are OSErrors too, without a number of the system's.
        if error.errno in _DISK:
            raise
        raise Unreachable(f"the Hugging Face hub cannot be reached for {source.at}: {error}", hint=_HINT) from error


def _ignore(_: int) -> None:
    return None
