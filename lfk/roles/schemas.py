"""lfk's schemas in a Schema Registry: registered by `init`, looked for by the doctor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lfk.core.errors import LfkError, SchemaMissing, SchemaRefused, Unreachable
from lfk.roles.admin import Step
from lfk.roles.doctor import Check, Verdict

#: A schema as the registry takes it; what it is made of is not known here.
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Registered(Protocol):
    """A schema under a subject."""

    @property
    def schema_id(self) -> int | None: ...


class SchemaRegistry(Protocol[S_contra]):
    """See :class:`lfk.brokers.registry.Registry`."""

    address: str

    def find(self, subject: str, schema: S_contra, /) -> Registered: ...

    def fits(self, subject: str, schema: S_contra, /) -> bool: ...

    def register(self, subject: str, schema: S_contra, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted(Generic[S]):
    """A schema that has to be registered under a subject."""

    subject: str
    schema: S


def make_schemas(registry: SchemaRegistry[S], wanted: Sequence[Wanted[S]], *, dry_run: bool) -> Iterator[Step]:
    """Register what is missing; what is there is left alone."""
    for one in wanted:
        try:
            made = _make(registry, one, dry_run=dry_run)
        except LfkError as error:
            yield Step("schema", one.subject, error=error)
            if isinstance(error, Unreachable):
                return
        else:
            yield Step("schema", one.subject, made=made)


def _make(registry: SchemaRegistry[S], one: Wanted[S], *, dry_run: bool) -> bool:
    """Whether it was missing."""
    try:
        registry.find(one.subject, one.schema)
    except SchemaMissing:
        if not dry_run:
            registry.register(one.subject, one.schema)
        elif not registry.fits(one.subject, one.schema):
            raise SchemaRefused(f"lfk's schema is not compatible with what is registered under {one.subject}") from None
        return True
    return False


def look_for_schemas(registry: SchemaRegistry[S], wanted: Sequence[Wanted[S]], kind: str) -> Iterator[Check]:
    """Whether the registry answers and holds the schemas. ``kind``: JSON or Avro, for people."""
    missing = [one.subject for one in wanted if not _is_there(registry, one)]
    if missing:
        text = f"{registry.address} does not hold lfk's {kind} schema under {', '.join(missing)}"
        yield Check("registry", Verdict.FAIL, text, SchemaMissing.hint)
    else:
        text = f"{registry.address} answers: lfk's {kind} schemas are registered under {len(wanted)} subjects"
        yield Check("registry", Verdict.OK, text)


def _is_there(registry: SchemaRegistry[S], one: Wanted[S]) -> bool:
    try:
        registry.find(one.subject, one.schema)
    except SchemaMissing:
        return False
    return True
