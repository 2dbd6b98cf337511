"""The sources of a site as its operator writes them down, and the making of sources from that."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from collectors.lanes import Place
from collectors.sources.port import Source
from collectors.specs.base import Spec, Workshop
from collectors.specs.registry import KINDS
from collectors.words import explain, nearest
from suanwang.clock import Clock
from suanwang.errors import BadInput

SOURCES_MAX: Final = 100_000
"""Most sources of one agent."""


def parse_source(raw: Mapping[str, object]) -> Spec:
    """Return the spec of one source; raise BadInput that names key, fault and nearest known key."""
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        hint = nearest(str(kind), KINDS)
        raise BadInput(
            f"source {raw.get('name', '')!r}: kind {kind!r} is not known{hint}",
            next_step=f"use one of {', '.join(KINDS)}",
        )
    model = KINDS[kind]
    try:
        return model.model_validate(dict(raw))
    except ValidationError as failure:
        known = {key for part in model.models() for key in part.model_fields} | {*model.aliases}
        text = explain(failure, known)
        raise BadInput(f"source {raw.get('name', kind)!r}: {text}") from failure


def parse_sources(raw: Iterable[Mapping[str, object]]) -> tuple[Spec, ...]:
    """Return the specs of a site's sources; raise BadInput, also where two have one name."""
    specs = tuple(parse_source(each) for each in raw)
    if len(specs) > SOURCES_MAX:
        raise BadInput(f"{len(specs)} sources are more than one agent takes ({SOURCES_MAX})")
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise BadInput(f"two sources are called {spec.name!r}; give each a name of its own")
        seen.add(spec.name)
    return specs


def build_source(spec: Spec, clock: Clock) -> Source:
    """Return a source that is ready to be polled; nothing is opened yet. Raises BadInput."""
    return spec.build(Workshop(clock))


def build_sources(
    specs: Iterable[Spec], clock: Clock, folder: Path | None = None
) -> tuple[Source, ...]:
    """Return the sources of one agent, which share the gates of the devices they talk to.

    ``folder`` is where they keep what must outlive the process.
    """
    return build_in(Workshop(clock, folder), specs)


def build_in(workshop: Workshop, specs: Iterable[Spec]) -> tuple[Source, ...]:
    """Return sources that share what is in a workshop with those that were built there before."""
    return tuple(spec.build(workshop) for spec in specs)


def places_of(specs: Iterable[Spec]) -> dict[str, Place]:
    """Return where each source is polled, by its name: what the poller's limits hang on."""
    return {spec.name: spec.place for spec in specs}
