"""Sites, their pools, meters, links, sources and PUE."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from api.schemas.common import FactOut, In, Name, Out, Positive, Title, Watts
from suanwang.energy.limits import PueLimit, limit_of
from suanwang.energy.schema_site import TermsFile
from suanwang.ids import MeterId, PoolId, SiteId
from suanwang.model.meter import Carrier, Meter, MeterRole, PueCategory
from suanwang.model.site import CoolingKind, DataClass, DemandBasis, Pool, Site, SiteClass, SplitKey
from suanwang.model.source import Standing
from suanwang.units import INT64_MAX

Milliseconds = Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)]
Power = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]


class PoolIn(In):
    """Equal accelerators; powers and price are of one unit."""

    id: Name
    accelerator: Name
    units: Positive
    units_per_node: Positive
    power_w_idle: Power
    power_w_busy: Power
    price_uyuan_per_unit_hour: int = Field(ge=0, le=10**13, description="micro-yuan")
    is_domestic: bool = False


class MeterIn(In):
    """An electricity meter with a cumulative register."""

    id: Name
    name: Title
    role: MeterRole
    category: PueCategory = PueCategory.PUE3
    carrier: Carrier = Carrier.ELECTRICITY
    rated_w: Annotated[int, Field(gt=0, le=10**12)]
    resolution_wh: float = Field(gt=0, le=10**9, allow_inf_nan=False)
    modulus_wh: int = Field(default=0, ge=0, le=INT64_MAX // 1_000, description="0: never wraps")
    poll_s: float = Field(gt=0, le=86_400, allow_inf_nan=False)


class LinkIn(In):
    """Latency from an origin of demand (``*``: anywhere else)."""

    origin: Annotated[str, Field(min_length=1, max_length=64)]
    rtt_ms: Milliseconds


class SiteIn(In):
    """A data centre, whole: what is left out is not there any more."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "qingdao-a",
                "name": "青岛一号",
                "operator": "haiyun",
                "region": "CN-SD",
                "timezone": "Asia/Shanghai",
                "cooling": "modern_wse_warmwater",
                "climate": "qingdao",
                "it_design_w": 2_000_000,
                "background_it_w": 0,
                "contract_w": 3_000_000,
                "tariff_id": "cn-sd-tou-2026",
                "voltage": "1-10kV",
                "carbon_region": "CN-SD",
                "site_class": "new",
                "accepts": ["general"],
                "data_homes": [],
                "pools": [
                    {
                        "id": "qingdao-a-cpu",
                        "accelerator": "cpu",
                        "units": 64,
                        "units_per_node": 32,
                        "power_w_idle": 2.0,
                        "power_w_busy": 8.0,
                        "price_uyuan_per_unit_hour": 120_000,
                    }
                ],
                "meters": [],
                "links": [{"origin": "*", "rtt_ms": 12.0}],
            }
        }
    )

    id: Name
    name: Title
    operator: Title = Field(description="an operator's own tenant id; the admin may write any")
    region: Annotated[str, Field(max_length=64)]
    timezone: Annotated[str, Field(max_length=64)]
    cooling: CoolingKind
    climate: Annotated[str, Field(max_length=64)]
    it_design_w: Annotated[int, Field(gt=0, le=10**12)]
    background_it_w: Watts = 0
    contract_w: Annotated[int, Field(gt=0, le=10**12)]
    tariff_id: Annotated[str, Field(max_length=64)]
    voltage: Annotated[str, Field(max_length=64)]
    carbon_region: Annotated[str, Field(max_length=64)]
    site_class: SiteClass | None = Field(
        default=None, description="whose limit of the yearly PUE holds, where pue_limit is left out"
    )
    pue_limit: float | None = Field(default=None, ge=1, le=10, allow_inf_nan=False)
    pue_category: PueCategory | None = Field(
        default=None, description="where IT energy is measured; without it the IT meters say so"
    )
    ppue_split: SplitKey = Field(
        default=SplitKey.HEAT, description="key by which zones share a plant in the partial PUE"
    )
    demand_basis: DemandBasis | None = Field(
        default=None, description="how demand is charged; without it bills have no demand charge"
    )
    transformer_kva: Annotated[int, Field(ge=0, le=10**9)] = 0
    power_chain: Annotated[str, Field(max_length=64)] = Field(
        default="", description="transformers and UPS, by name; empty: usual for the cooling"
    )
    energy: TermsFile | None = Field(
        default=None, description="what of the site's energy may be planned: see docs/energy.md"
    )
    accepts: list[DataClass] = Field(max_length=10)
    data_homes: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        default=[], max_length=1_000
    )
    pools: list[PoolIn] = Field(max_length=1_000)
    meters: list[MeterIn] = Field(default=[], max_length=10_000)
    links: list[LinkIn] = Field(default=[], max_length=10_000)

    @model_validator(mode="after")
    def _a_limit_is_known(self) -> Self:
        if self.pue_limit is None and self.site_class is None:
            raise ValueError("name a site_class, whose limit of PUE holds, or a pue_limit")
        return self

    @model_validator(mode="after")
    def _capacity_is_known(self) -> Self:
        if self.demand_basis is DemandBasis.CAPACITY and not self.transformer_kva:
            raise ValueError("demand_basis capacity needs transformer_kva")
        return self

    def to_site(self, limits: Sequence[PueLimit], day: date) -> Site:
        """Return the site of the model, with the limit of PUE that it names or its class has.

        Raise BadInput where no limit is in force for the class on the day.
        """
        pue_limit = self.pue_limit
        if pue_limit is None:
            assert self.site_class is not None
            pue_limit = limit_of(limits, self.site_class, day).at_most
        return Site(
            id=SiteId(self.id),
            name=self.name,
            operator=self.operator,
            region=self.region,
            timezone=self.timezone,
            cooling=self.cooling,
            climate=self.climate,
            it_design_w=self.it_design_w,
            background_it_w=self.background_it_w,
            contract_w=self.contract_w,
            tariff_id=self.tariff_id,
            voltage=self.voltage,
            carbon_region=self.carbon_region,
            pue_limit=pue_limit,
            site_class=self.site_class,
            pue_category=self.pue_category,
            ppue_split=self.ppue_split,
            demand_basis=self.demand_basis,
            transformer_kva=self.transformer_kva,
            power_chain=self.power_chain,
            accepts=frozenset(self.accepts),
            data_homes=frozenset(self.data_homes),
            pools=tuple(
                Pool(
                    id=PoolId(pool.id),
                    site_id=SiteId(self.id),
                    accelerator=pool.accelerator,
                    units=pool.units,
                    units_per_node=pool.units_per_node,
                    power_w_idle=pool.power_w_idle,
                    power_w_busy=pool.power_w_busy,
                    price_uyuan_per_unit_hour=pool.price_uyuan_per_unit_hour,
                    is_domestic=pool.is_domestic,
                )
                for pool in self.pools
            ),
        )

    def to_meters(self) -> tuple[Meter, ...]:
        """Return the meters of the model."""
        return tuple(
            Meter(
                id=MeterId(meter.id),
                site_id=SiteId(self.id),
                name=meter.name,
                role=meter.role,
                category=meter.category,
                carrier=meter.carrier,
                rated_w=meter.rated_w,
                resolution_wh=meter.resolution_wh,
                modulus_wh=meter.modulus_wh,
                poll_s=meter.poll_s,
            )
            for meter in self.meters
        )


class PoolOut(Out):
    """A pool and how many of its units are free now."""

    id: str
    accelerator: str
    units: int
    units_free: int
    units_drained: int
    units_per_node: int
    power_w_idle: float
    power_w_busy: float
    price_uyuan_per_unit_hour: int
    is_domestic: bool


class SiteOut(Out):
    """A site with its live facts; a fact that was never measured is null."""

    id: str
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
    site_class: SiteClass | None
    pue_limit: float
    pue_category: PueCategory | None
    ppue_split: SplitKey
    demand_basis: DemandBasis | None
    transformer_kva: int
    power_chain: str
    accepts: list[DataClass]
    data_homes: list[str]
    is_open: bool
    is_reachable: bool
    agent_seen_at: datetime | None
    agent_version: str
    executor_state: str
    executor_message: str
    it_power_w: FactOut | None
    facility_power_w: FactOut | None
    pue: FactOut | None
    rtt_ms: dict[str, float] = Field(description="round trip by origin")
    pools: list[PoolOut]


class SiteList(Out):
    """All sites, by id."""

    items: list[SiteOut]


class TokenOut(Out):
    """The token of a site's agent, shown this once; earlier ones are revoked."""

    id: str
    secret: str = Field(examples=["swt_…"])


class SourceOut(Out):
    """A source's last word about itself; ``standing`` is by its own interval."""

    source: str
    standing: Standing
    is_up: bool
    duration_s: float
    readings: int
    error: str
    polled_at: datetime
    age_s: float
    up_at: datetime | None
    interval_s: float = Field(description="0 where it was never told")
    retired_at: datetime | None


class DeclaredDead(Out):
    """The attempts that were counted as dead; their jobs start elsewhere."""

    site_id: str
    attempts: list[str]


class SourceList(Out):
    """A site's sources, by name."""

    items: list[SourceOut]
