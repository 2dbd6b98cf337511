"""All energy facts in one place: tariffs, facilities, climates, carbon, accelerators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, TypeVar

from suanwang.document import Document, parse_document, validate
from suanwang.energy.accelerators import Accelerator
from suanwang.energy.carbon import CarbonTable
from suanwang.energy.carbon_hourly import HourlyCarbon, read_hourly_carbon
from suanwang.energy.climate import Climate
from suanwang.energy.facility import FacilityCoefficients, FacilityModel
from suanwang.energy.limits import PueLimit
from suanwang.energy.power_chain import PowerChain
from suanwang.energy.schema import (
    AcceleratorsFile,
    ClimatesFile,
    EmissionFile,
    FacilityFile,
    PowerChainsFile,
    PueLimitsFile,
    ThroughputFile,
)
from suanwang.energy.schema_site import SitesTermsFile
from suanwang.energy.schema_tariff import build_tariff
from suanwang.energy.tariff import BaseTariff
from suanwang.energy.throughput import FamilyPrior
from suanwang.energy.versions import TariffVersions
from suanwang.errors import BadInput, NotFound
from suanwang.model.site import CoolingKind, Site
from suanwang.model.site_terms import EnergyTerms

EntryT = TypeVar("EntryT")
CARBON: Final = "carbon_"
SITE_TERMS: Final = "site_terms.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyCatalogue:
    """Energy facts by id; an unknown id raises NotFound, which names the known ones.

    ``terms`` are what operators let be planned of their sites' energy, by site.
    """

    tariffs: Mapping[str, BaseTariff]
    coefficients: Mapping[CoolingKind, FacilityCoefficients]
    climates: Mapping[str, Climate]
    carbon: CarbonTable
    accelerators: Mapping[str, Accelerator]
    pue_limits: tuple[PueLimit, ...]
    throughput: Mapping[str, FamilyPrior] = field(default_factory=dict)
    power_chains: Mapping[str, PowerChain] = field(default_factory=dict)
    hourly_carbon: Mapping[str, HourlyCarbon] = field(default_factory=dict)
    terms: Mapping[str, EnergyTerms] = field(default_factory=dict)

    def tariff(self, tariff_id: str) -> BaseTariff:
        """Return one version of a tariff."""
        return _find(self.tariffs, tariff_id, "tariff")

    def tariff_versions(self, name: str) -> TariffVersions:
        """Return all versions of a tariff, by the name of its series or of one version.

        A site that names last year's version is billed by this year's, as soon as there is one.
        """
        series = self.tariffs[name].series if name in self.tariffs else name
        found = [one for one in self.tariffs.values() if one.series == series]
        if not found:
            known = ", ".join(sorted({*self.tariffs, *(t.series for t in self.tariffs.values())}))
            raise NotFound(f"there is no tariff {name!r}; known: {known}", tariff=name)
        return TariffVersions.of(found)

    def climate(self, climate_id: str) -> Climate:
        """Return a climate."""
        return _find(self.climates, climate_id, "climate")

    def accelerator(self, accelerator_id: str) -> Accelerator:
        """Return a kind of accelerator."""
        return _find(self.accelerators, accelerator_id, "accelerator")

    def family(self, family_id: str) -> FamilyPrior:
        """Return the throughput prior of a family of models."""
        return _find(self.throughput, family_id, "family")

    def facility(
        self, cooling: CoolingKind, it_design_w: float, power_chain: str = ""
    ) -> FacilityModel:
        """Return the power model of a cooling kind at a design IT power in W.

        Electrical losses are those of a named power chain, or else of the cooling kind's usual one.
        """
        coefficients = self.coefficients.get(cooling)
        if coefficients is None:
            raise NotFound(f"no facility power model for cooling {cooling}", cooling=str(cooling))
        chain = _find(self.power_chains, power_chain, "power chain") if power_chain else None
        return FacilityModel(
            kind=cooling, it_design_w=it_design_w, coefficients=coefficients, chain=chain
        )

    def facility_of(self, site: Site) -> FacilityModel:
        """Return the power model of a site."""
        return self.facility(site.cooling, site.it_design_w, site.power_chain)

    def with_tariffs(self, *tariffs: BaseTariff) -> "EnergyCatalogue":
        """Return a catalogue with further tariffs; one of the same id is replaced."""
        both = {**self.tariffs, **{one.id: one for one in tariffs}}
        _check_series(both)
        return replace(self, tariffs=both)

    def carbon_g_per_kwh(self, region: str, start: datetime, end: datetime) -> float:
        """Return the location book's factor over a period: by the hour where that is known."""
        yearly = self.carbon.factor(region, start.year).g_per_kwh
        hourly = self.hourly_carbon.get(region)
        return yearly if hourly is None else hourly.average(start, end, yearly)

    def with_folder(self, folder: Traversable) -> "EnergyCatalogue":
        """Return a catalogue with an operator's own tariffs and hourly factors on top.

        Files are ``tariff_*.yaml``, the tables that they name, ``carbon_REGION.csv``, and
        ``site_terms.yaml``: what of each site's energy may be planned.
        """
        try:
            entries = sorted(folder.iterdir(), key=lambda one: one.name)
        except OSError as failure:
            raise BadInput(
                f"cannot read the folder of energy files {folder}: {failure.strerror or failure}",
                next_step="check the setting energy.folder",
            ) from failure
        hourly = dict(self.hourly_carbon)
        for entry in entries:
            region = entry.name.removeprefix(CARBON).removesuffix(".csv")
            if entry.name == f"{CARBON}{region}.csv":
                self.carbon.factor(region)
                hourly[region] = read_hourly_carbon(entry.read_bytes(), region, entry.name)
        own = _read_tariffs(folder, entries)
        terms = dict(self.terms)
        if any(entry.name == SITE_TERMS for entry in entries):
            terms |= validate(_read(folder / SITE_TERMS), SitesTermsFile).build()
        return replace(self.with_tariffs(*own.values()), hourly_carbon=hourly, terms=terms)

    def check_site(self, site: Site) -> None:
        """Raise BadInput unless tariff, voltage, climate, cooling and carbon region are known."""
        try:
            tariff = self.tariff_versions(site.tariff_id).versions[-1]
            self.climate(site.climate)
            self.facility_of(site)
            self.carbon.factor(site.carbon_region)
        except NotFound as failure:
            raise BadInput(f"site {site.id}: {failure.message}", site=site.id) from failure
        if site.voltage not in tariff.voltages:
            known = ", ".join(tariff.voltages)
            message = f"site {site.id}: tariff {tariff.id} has no voltage {site.voltage!r}: {known}"
            raise BadInput(message, site=site.id)


def _find(entries: Mapping[str, EntryT], name: str, noun: str) -> EntryT:
    found = entries.get(name)
    if found is None:
        known = ", ".join(sorted(entries))
        raise NotFound(f"there is no {noun} {name!r}; known: {known}", **{noun: name})
    return found


def _check_series(tariffs: Mapping[str, BaseTariff]) -> None:
    """Raise BadInput where versions of one tariff overlap, or are not of one place."""
    for series in sorted({one.series for one in tariffs.values()}):
        TariffVersions.of(one for one in tariffs.values() if one.series == series)


@cache
def load_catalogue() -> EnergyCatalogue:
    """Return the packaged catalogue, read once; raise BadInput where a file is not sound."""
    return read_catalogue(resources.files("suanwang.energy").joinpath("data"))


def read_catalogue(folder: Traversable) -> EnergyCatalogue:
    """Read a folder of energy files; tariffs are all files named ``tariff_*.yaml``."""
    tariffs = _read_tariffs(folder, sorted(folder.iterdir(), key=lambda one: one.name))
    _check_series(tariffs)
    return EnergyCatalogue(
        tariffs=tariffs,
        coefficients=validate(_read(folder / "pue_models.yaml"), FacilityFile).build(),
        climates=validate(_read(folder / "climate_typical.yaml"), ClimatesFile).build(),
        carbon=validate(_read(folder / "emission_factors_cn.yaml"), EmissionFile).build(),
        accelerators=validate(_read(folder / "accelerators.yaml"), AcceleratorsFile).build(),
        pue_limits=validate(_read(folder / "pue_limits.yaml"), PueLimitsFile).build(),
        power_chains=validate(_read(folder / "power_chains.yaml"), PowerChainsFile).build(),
        throughput=validate(_read(folder / "throughput_priors.yaml"), ThroughputFile).build(),
    )


def _read_tariffs(folder: Traversable, entries: Sequence[Traversable]) -> dict[str, BaseTariff]:
    tariffs: dict[str, BaseTariff] = {}
    for entry in entries:
        if entry.name.startswith("tariff_") and entry.name.endswith(".yaml"):
            document = _read(entry)
            tariff = build_tariff(document, partial(_beside, folder))
            if tariff.id in tariffs:
                message = (
                    f"{document.name}: tariff {tariff.id} is already in {tariffs[tariff.id].source}"
                )
                raise BadInput(message)
            tariffs[tariff.id] = tariff
    return tariffs


def _read(entry: Traversable) -> Document:
    return parse_document(entry.read_text(encoding="utf-8"), entry.name)


def _beside(folder: Traversable, name: str) -> bytes:
    """Return a table that lies beside the tariff that names it."""
    table = folder / name
    if not table.is_file():
        raise BadInput(f"there is no table of prices {name}", next_step="put it beside the tariff")
    return table.read_bytes()
