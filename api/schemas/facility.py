"""A site's facility power curve, as a table of PUE by load and wet bulb."""

from datetime import datetime

from pydantic import Field

from api.schemas.common import Out
from collectors.store_facility import StoredFit
from suanwang.energy.facility import FacilityModel
from suanwang.energy.facility_curve import FacilityCurve
from suanwang.energy.facility_fitted import FitMark, FitQuality, FittedFacility
from suanwang.model.site import CoolingKind

LOADS = (0.1, 0.25, 0.5, 0.75, 1.0)
WET_BULBS_C = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0)


class FitQualityOut(Out):
    """What a curve rests on; residuals are of hours that were held out of the fit."""

    hours: int
    since: datetime
    until: datetime
    load_min: float = Field(description="of the design IT power")
    load_max: float
    wet_bulb_min_c: float
    wet_bulb_max_c: float
    r2: float = Field(description="of the overhead, not of facility power")
    residual_p95: float = Field(description="95 of 100 hours are nearer, as a share of facility")
    design_residual_p95: float = Field(description="the same of the design model")
    why: list[str] = Field(description="why the slope is the design's, if it is")


class FacilityPointOut(Out):
    """Facility power at one IT load and wet bulb."""

    load: float
    wet_bulb_c: float
    facility_w: float
    pue: float
    marginal_pue: float = Field(description="facility watts that one more IT watt costs")
    mark: FitMark


class FacilityModelOut(Out):
    """The curve that plans go by; version 0 is the design of the cooling kind."""

    site_id: str
    mark: FitMark
    version: int
    fitted_at: datetime | None
    actor: str
    cooling: CoolingKind
    it_design_w: int
    quality: FitQualityOut | None
    points: list[FacilityPointOut]


def facility_out(site_id: str, design: FacilityModel, stored: StoredFit | None) -> FacilityModelOut:
    """Return a site's curve, or that of its design."""
    curve: FacilityCurve = design if stored is None else stored.curve
    mark = FitMark.DESIGN
    if stored is not None:
        mark = FitMark.FITTED if stored.curve.coefficients else FitMark.MIXED
    return FacilityModelOut(
        site_id=site_id,
        mark=mark,
        version=0 if stored is None else stored.version,
        fitted_at=None if stored is None else stored.fitted_at,
        actor="" if stored is None else stored.actor,
        cooling=design.kind,
        it_design_w=int(design.it_design_w),
        quality=None if stored is None else _quality(stored.curve.quality),
        points=[_point(curve, load, wet) for load in LOADS for wet in WET_BULBS_C],
    )


def _point(curve: FacilityCurve, load: float, wet_bulb_c: float) -> FacilityPointOut:
    it_w = load * curve.it_design_w
    mark = FitMark.DESIGN
    if isinstance(curve, FittedFacility):
        mark = curve.mark(it_w, wet_bulb_c)
    return FacilityPointOut(
        load=load,
        wet_bulb_c=wet_bulb_c,
        facility_w=curve.facility_w(it_w, wet_bulb_c),
        pue=curve.pue(it_w, wet_bulb_c),
        marginal_pue=curve.marginal(it_w, wet_bulb_c),
        mark=mark,
    )


def _quality(quality: FitQuality) -> FitQualityOut:
    return FitQualityOut(
        hours=quality.hours,
        since=quality.since,
        until=quality.until,
        load_min=quality.load_min,
        load_max=quality.load_max,
        wet_bulb_min_c=quality.wet_bulb_min_c,
        wet_bulb_max_c=quality.wet_bulb_max_c,
        r2=quality.r2,
        residual_p95=quality.residual_p95,
        design_residual_p95=quality.design_residual_p95,
        why=list(quality.why),
    )
