"""What the agent tells the centre of its executor's nodes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from agent.executors.port import NodeUse
from suanwang.wire.agent import NodeReport, UseReport


def reports_of(nodes: Sequence[NodeUse], attempts: Mapping[str, str]) -> tuple[NodeReport, ...]:
    """Return nodes in the words of the channel: runs by the attempt that each is.

    Runs that the agent has nothing left to do for are no attempt of ours any more.
    """
    return tuple(_report(node, attempts) for node in nodes)


def _report(node: NodeUse, attempts: Mapping[str, str]) -> NodeReport:
    cpus: dict[str, float] = defaultdict(float)
    gpus: dict[str, float] = defaultdict(float)
    for run, used in node.used.items():
        attempt = attempts.get(run, "")
        cpus[attempt] += used.cpus
        gpus[attempt] += used.gpus
    return NodeReport(
        name=node.name[:200],
        address=node.address[:200],
        kind=node.kind[:200],
        cpus=node.cpus,
        gpus=node.gpus,
        used=tuple(
            UseReport(attempt_id=attempt, cpus=cpus[attempt], gpus=gpus[attempt])
            for attempt in sorted(cpus)
        ),
    )
