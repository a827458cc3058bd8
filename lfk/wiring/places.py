"""Where things are: settings into locations and the one store over all of them."""

from __future__ import annotations

from pathlib import Path

from lfk.core.addressing import Roots
from lfk.core.approaches import KNOWN_MODELS, Catalogue, find_approach, require_approach
from lfk.core.errors import InvalidLocation, UnknownModel, UsageError
from lfk.core.location import Location, check_key, has_scheme, parse_location
from lfk.settings import Settings
from lfk.stores.base import ObjectStore


def store_root(settings: Settings) -> Location:
    """LFK_STORE as a location; a plain folder name is a ``file://`` store."""
    return place(settings.store, "LFK_STORE").as_prefix()


def roots(settings: Settings) -> Roots:
    """Where audio, transcripts and records are, and what references may ask for.

    Raises:
        UsageError: a location, approach or model in the settings is not usable.
    """
    store = store_root(settings)
    try:
        catalogue = Catalogue({name: KNOWN_MODELS[name] for name in settings.models or KNOWN_MODELS})
    except KeyError as error:
        raise UsageError(
            f"LFK_MODELS: no model is called {error.args[0]!r}; known: {', '.join(KNOWN_MODELS)}"
        ) from error
    return Roots(
        audio=_root(settings.audio, settings.video_bucket, store, "audio", "LFK_AUDIO"),
        transcripts=_root(settings.transcripts, settings.transcript_bucket, store, "transcripts", "LFK_TRANSCRIPTS"),
        records=store.join(".lfk").as_prefix(),
        catalogue=catalogue,
        default_approach=require_approach(settings.default_approach),
        default_model=_default_model(settings, catalogue),
        source_name=_source_name(settings.source),
        allowed=tuple(place(text, "LFK_ALLOWED").as_prefix() for text in settings.allowed),
    )


def _default_model(settings: Settings, catalogue: Catalogue) -> str:
    try:
        return catalogue.require(settings.default_model)
    except UnknownModel as error:
        raise UsageError(f"LFK_DEFAULT_MODEL: {error}", hint="set it to a model that LFK_MODELS lists") from error


def open_store(settings: Settings) -> ObjectStore:
    """One store over every place that the settings name."""
    from lfk.stores.router import RoutingStore

    where = roots(settings)
    places = {store_root(settings), where.audio, where.transcripts, *where.allowed}
    s3 = _s3(settings) if any(spot.scheme == "s3" for spot in places) else None
    routes: list[tuple[Location, ObjectStore]] = []
    for spot in places:
        if any(other != spot and other.contains(spot) for other in places):
            # The store of the outer place serves it too, with one memory of what it wrote.
            continue
        if spot.scheme == "s3" and s3 is not None:
            routes.append((Location("s3", spot.bucket, ""), s3))
        else:
            routes.append((spot, open_folder(spot)))
    return RoutingStore(routes)


def marker_name(settings: Settings) -> str:
    """The name of done markers: written by sync, waited for by listen.

    Raises:
        UsageError: it is not the name of an object.
    """
    try:
        name = check_key(settings.marker_name)
        if "/" in name:
            raise InvalidLocation(f"{name!r} has a slash")
    except InvalidLocation as error:
        raise UsageError(f"LFK_MARKER_NAME: {error.message}", hint="give the name alone, as done.txt") from error
    return name


def open_folder(root: Location) -> ObjectStore:
    """The store of one folder."""
    from lfk.stores.folder import FolderStore

    return FolderStore(root)


def _source_name(source: str) -> str:
    """The last name of SOURCE_FOLDER, which may lead a path; not if it is an approach, which has its own meaning."""
    name = Path(source).name
    return name if name and find_approach(name) is None else "sources"


def _root(text: str, bucket: str, store: Location, name: str, env: str) -> Location:
    if text:
        return place(text, env).as_prefix()
    if bucket:
        return place(bucket if has_scheme(bucket) else f"s3://{bucket}/", env).as_prefix()
    return store.join(name).as_prefix()


def place(text: str, env: str) -> Location:
    """A setting that holds a location or a folder.

    Raises:
        UsageError: it is neither.
    """
    try:
        return parse_location(text if has_scheme(text) else f"file://{Path(text).expanduser().absolute()}")
    except InvalidLocation as error:
        raise UsageError(f"{env}: {error.message}", hint=error.hint) from error


def _s3(settings: Settings) -> ObjectStore:
    from lfk.stores.s3 import S3Store

    return S3Store(
        endpoint_url=settings.endpoint_url or None,
        region=settings.region or None,
        access_key=settings.access_key or None,
        secret_key=settings.secret_key or None,
        session_token=settings.session_token or None,
        addressing=settings.s3_addressing,
        checksums=settings.s3_checksums,
        conditional=settings.s3_conditional,
    )
