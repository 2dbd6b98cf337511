"""A data centre of one owner, its pools of accelerators and its racks."""

from dataclasses import dataclass
from enum import StrEnum

from suanwang.ids import PoolId, SiteId
from suanwang.model.meter import PueCategory
from suanwang.units import STANDARD_RACK_W


class DataClass(StrEnum):
    """How far a job's data may travel: the stricter comes later."""

    GENERAL = "general"
    IMPORTANT = "important"
    GOVERNMENT = "government"


class SiteClass(StrEnum):
    """Of which kind a site is to the policies that limit its yearly PUE.

    ``hub_new`` is a new large site at a node of a national computing hub.
    """

    NEW = "new"
    RETROFIT = "retrofit"
    HUB_NEW = "hub_new"


class CoolingKind(StrEnum):
    """Cooling systems that ``suanwang.energy.facility`` has a power model for."""

    LEGACY_AIR_CHILLER = "legacy_air_chiller"
    RETROFIT_CONTAINMENT_WSE = "retrofit_containment_wse"
    MODERN_WSE_WARMWATER = "modern_wse_warmwater"
    INDIRECT_EVAPORATIVE = "indirect_evaporative"
    COLDPLATE_LIQUID_80 = "coldplate_liquid_80"


class DemandBasis(StrEnum):
    """How the second part of a two-part tariff is counted; small sites pay a single-part tariff."""

    MAX_DEMAND = "max_demand"
    CAPACITY = "capacity"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandTerms:
    """A site's choice of basis; ``transformer_kva`` is needed for the capacity basis."""

    basis: DemandBasis
    transformer_kva: int = 0


class SplitKey(StrEnum):
    """How the energy of a plant that several zones share is split between them.

    ``heat``: in proportion to IT energy, all of which becomes heat. ``even``: the same for each.
    ``cooling``: in proportion to what each zone's own cooling sub-meters counted.
    """

    HEAT = "heat"
    EVEN = "even"
    COOLING = "cooling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Equal accelerators at one site; ``accelerator`` is ``cpu`` for plain cores.

    Powers are of one unit (an accelerator with its share of the host, or a core). The price is what
    a tenant pays for one unit for one hour.
    """

    id: PoolId
    site_id: SiteId
    accelerator: str
    units: int
    units_per_node: int
    power_w_idle: float
    power_w_busy: float
    price_uyuan_per_unit_hour: int
    is_domestic: bool = False
    drained_units: int = 0

    @property
    def units_usable(self) -> int:
        """Units that are not drained."""
        return max(0, self.units - self.drained_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A data centre as its operator registered it.

    ``data_homes`` names the data sets (or tenants' homes) that are kept here; ``accepts`` lists the
    data classes that the law and the operator let come here from elsewhere. ``pue_category`` is
    where the site declares its IT energy to be measured; without it the IT meters say so.
    ``ppue_split`` is the declared key by which zones share a plant.
    ``site_class`` is what policies call it, where the operator says so. ``demand_basis`` is how the
    second part of its tariff is counted; where it is None no demand is charged, and bills say so.
    ``power_chain`` is its chain of transformers and UPS; empty: the usual one of its cooling kind.
    """

    id: SiteId
    name: str
    operator: str
    region: str
    timezone: str
    cooling: CoolingKind
    climate: str
    it_design_w: int
    background_it_w: int
    contract_w: int
    tariff_id: str
    voltage: str
    carbon_region: str
    pue_limit: float
    accepts: frozenset[DataClass]
    data_homes: frozenset[str] = frozenset()
    pools: tuple[Pool, ...] = ()
    pue_category: PueCategory | None = None
    ppue_split: SplitKey = SplitKey.HEAT
    site_class: SiteClass | None = None
    demand_basis: DemandBasis | None = None
    transformer_kva: int = 0
    power_chain: str = ""

    @property
    def demand_terms(self) -> DemandTerms:
        """How demand is charged."""
        basis = self.demand_basis or DemandBasis.NONE
        return DemandTerms(basis=basis, transformer_kva=self.transformer_kva)

    @property
    def standard_racks(self) -> float:
        """Design IT power in standard racks of 2.5 kW."""
        return self.it_design_w / STANDARD_RACK_W
