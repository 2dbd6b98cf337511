"""The certificate of a plan in words."""

from collections.abc import Iterable, Mapping

from cli.output import Json, number
from suanwang.model.plan import PlanStep, Proof

_STEP = {
    PlanStep.NOTHING: "there was nothing to choose",
    PlanStep.GREEDY: "found by the greedy planner",
    PlanStep.ROUNDED: "found by rounding the relaxation",
    PlanStep.SEARCHED: "found by the search for whole jobs",
}
_PROOF = {
    Proof.BOUND: "optimal by our own bound",
    Proof.SEARCH: "optimal by the word of the solver's search",
    Proof.NONE: "not proved to be the best",
}


def certificate_lines(certificate: Mapping[str, Json]) -> Iterable[str]:
    """Return the lines that tell a certificate, given as a document."""
    proof, step = _PROOF[Proof(certificate["proof"])], _STEP[PlanStep(certificate["step"])]
    gap = certificate["gap"]
    loses = "no bound" if gap is None else f"loses {gap:.3%} at most"
    yield (
        f"certificate: {step}, {proof}; {loses} (bound by {certificate['bound_by']}); "
        f"checked anew: {certificate['faults']} limits broken"
    )
    if not certificate["is_complete"]:
        yield "  the time limit ended before every job was tried"
    for one in certificate["binding"]:
        yield (
            f"  held back by {one['family']}: {one['count']} limits, "
            f"worth {number(one['worth_yuan'], 2)} yuan"
        )
    for refused in certificate["refused"]:
        yield f"  not used: {refused}"
