"""Planning runs and what they proved."""

from datetime import datetime

from pydantic import Field

from api.schemas.common import Out
from suanwang.model.plan import PlannerKind, PlanStep, Proof


class BindingOut(Out):
    """Limits of one family that hold the plan back."""

    family: str
    count: int = Field(description="how many of them have a price")
    worth_yuan: float = Field(description="price times limit: 1 % more of each gains at most 1 %")


class CertificateOut(Out):
    """What the planner itself knows about a plan, without a solver's word."""

    step: PlanStep
    proof: Proof
    bound_by: str
    gap: float | None = Field(description="what the plan can lose at most, as a share")
    faults: int = Field(description="lines that the last check found broken")
    violation: float | None = Field(description="worst relative break by the solver's point")
    binding: list[BindingOut]
    refused: list[str] = Field(description="answers that were not used, and why")
    is_complete: bool = Field(description="false where the time limit cut the search short")
    solver_s: float


class RunOut(Out):
    """A planning run."""

    id: str
    made_at: datetime
    planner: PlannerKind
    solver: str
    objective: float
    bound: float | None
    build_s: float
    solve_s: float
    jobs: int
    starts: int
    note: str
    certificate: CertificateOut


class RunList(Out):
    """The newest planning runs, the newest first."""

    items: list[RunOut]
