"""Figures of sites and of the network, and green certificates."""

from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, Field

from api.schemas.common import In, Out, Title
from collectors.kpis.figure import FORMULAS, Kpi, KpiFigure
from collectors.kpis.network import Standing
from collectors.store_green import (
    CERTIFICATE_WH,
    INSTRUMENTS_MAX,
    HeldInstrument,
    Instrument,
    InstrumentKind,
)
from collectors.store_kpi_days import KpiDay
from suanwang.model.reading import Quality

Number = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$")]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=INSTRUMENTS_MAX)]


class KpiOut(Out):
    """A figure with everything that it stands on; ``value`` is null where it is withheld."""

    kpi: Kpi
    value: float | None
    unit: str
    formula: str
    words: str
    start: AwareDatetime
    end: AwareDatetime
    coverage: float
    quality: Quality
    is_interim: bool
    basis: str
    withheld: str
    parts: dict[str, float]


def kpi_out(figure: KpiFigure) -> KpiOut:
    """Return a figure for people."""
    return KpiOut(
        kpi=figure.kpi,
        value=figure.value,
        unit=figure.unit,
        formula=figure.formula,
        words=FORMULAS[figure.kpi].words,
        start=figure.start,
        end=figure.end,
        coverage=figure.coverage,
        quality=figure.quality,
        is_interim=figure.is_interim,
        basis=figure.basis,
        withheld=figure.withheld,
        parts=dict(figure.parts),
    )


class KpiList(Out):
    """All figures of a site over a period."""

    site_id: str
    items: list[KpiOut]


class KpiDayList(Out):
    """Daily figures of one kind by day; those of a longer time are the sums of both columns."""

    site_id: str
    unit: str
    items: list[KpiDay]


class StandingOut(Out):
    """A target and what is there; ``gap`` is by how much it is missed, 0 or less where it is met.

    ``is_met`` is null where there is no value; ``site_id`` is empty for the whole network.
    """

    id: str
    kpi: Kpi
    site_id: str
    at_most: float | None
    at_least: float | None
    value: float | None
    gap: float | None
    is_met: bool | None
    is_interim: bool
    why: str
    scope: str
    by: date
    source: str
    mark: str


def standing_out(one: Standing) -> StandingOut:
    """Return a standing for people."""
    target = one.target
    return StandingOut(
        id=target.id,
        kpi=target.kpi,
        site_id=one.site_id,
        at_most=target.at_most,
        at_least=target.at_least,
        value=one.value,
        gap=one.gap,
        is_met=one.is_met,
        is_interim=one.is_interim,
        why=one.why,
        scope=target.scope,
        by=target.by,
        source=target.source,
        mark=target.mark,
    )


class NetworkKpis(Out):
    """Figures of the network and of each site, and the targets."""

    items: list[KpiOut]
    sites: list[KpiList]
    targets: list[StandingOut]


class CertificatesIn(In):
    """Certificates or settled contracts of one kind, by the numbers printed on them."""

    ids: Numbers
    kind: InstrumentKind = InstrumentKind.CERTIFICATE
    energy_wh: int = Field(
        default=CERTIFICATE_WH, gt=0, le=10**15, description="Wh that each of them proves"
    )
    made_from: AwareDatetime
    made_until: AwareDatetime
    origin: Title
    owner: Annotated[str, Field(max_length=200)] = Field(
        default="", description="the operator that holds them; an operator's own when left out"
    )

    def to_instruments(self, owner: str) -> list[Instrument]:
        """Return the instruments of the record."""
        return [
            Instrument(
                id=number,
                kind=self.kind,
                energy_wh=self.energy_wh,
                made_from=self.made_from,
                made_until=self.made_until,
                origin=self.origin,
                owner=owner,
            )
            for number in dict.fromkeys(self.ids)
        ]


class CancellationIn(In):
    """What certificates are used for: a time of a site's consumption."""

    ids: Numbers
    from_at: AwareDatetime
    until_at: AwareDatetime
    reason: Title


class EnteredOut(Out):
    """How many entries are new, and how many stood there already."""

    new: int
    known: int
    energy_wh: int


class CertificateOut(Out):
    """An instrument; ``site_id`` is empty until it is cancelled."""

    id: str
    kind: InstrumentKind
    energy_wh: int
    made_from: AwareDatetime
    made_until: AwareDatetime
    origin: str
    owner: str
    site_id: str
    from_at: AwareDatetime | None
    until_at: AwareDatetime | None
    cancelled_at: AwareDatetime | None
    cancelled_by: str


class CertificateList(Out):
    """A page of instruments by number; ask on with ``after`` the last of them."""

    items: list[CertificateOut]


def certificate_out(one: HeldInstrument) -> CertificateOut:
    """Return an instrument for people."""
    held = one.instrument
    return CertificateOut(
        id=held.id,
        kind=held.kind,
        energy_wh=held.energy_wh,
        made_from=held.made_from,
        made_until=held.made_until,
        origin=held.origin,
        owner=held.owner,
        site_id=one.site_id,
        from_at=one.from_at,
        until_at=one.until_at,
        cancelled_at=one.cancelled_at,
        cancelled_by=one.actor,
    )


class PueChangeOut(Out):
    """Why a PUE differs from that of the same time before, in three parts that add up."""

    before: float
    after: float
    by_it: float
    by_fixed: float
    by_marginal: float
    facility_w: float
    it_w: float
    is_misleading: bool = Field(description="whether the ratio and the energy went opposite ways")
    words: str
