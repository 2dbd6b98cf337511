"""Nodes of the sites in the database: what each agent said last. Nothing here commits."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from scheduler.nodes import SiteNode
from scheduler.rows import clean_text
from suanwang.db.tables import node_use as use_table
from suanwang.db.tables import site_node as node_table
from suanwang.ids import SiteId
from suanwang.wire.agent import NodeReport


def note_nodes(
    connection: Connection, site_id: SiteId, reported: Sequence[NodeReport], now: datetime
) -> bool:
    """Keep what an agent says of its nodes instead of what it said before; whether it is news."""
    nodes = {node.name: node for node in map(_node, reported)}
    there = {node.name: node for node in nodes_by_site(connection, site_id).get(site_id, ())}
    if nodes == there:
        return False
    for table in (use_table, node_table):
        connection.execute(delete(table).where(table.c.site_id == site_id))
    if nodes:
        connection.execute(insert(node_table), [_row(site_id, one, now) for one in nodes.values()])
    uses = [row for one in nodes.values() for row in _uses(site_id, one)]
    if uses:
        connection.execute(insert(use_table), uses)
    return True


def nodes_by_site(
    connection: Connection, site_id: SiteId | None = None
) -> dict[SiteId, tuple[SiteNode, ...]]:
    """Return the nodes of every site (or of one), in the order of their names."""
    nodes = select(node_table).order_by(node_table.c.site_id, node_table.c.name)
    uses = select(use_table)
    if site_id is not None:
        nodes = nodes.where(node_table.c.site_id == site_id)
        uses = uses.where(use_table.c.site_id == site_id)
    used: dict[tuple[str, str], dict[str, tuple[int, int]]] = defaultdict(dict)
    for row in connection.execute(uses):
        used[row.site_id, row.node][row.attempt_id] = (row.cpu_milli, row.gpu_milli)
    found: dict[SiteId, tuple[SiteNode, ...]] = {}
    for row in connection.execute(nodes):
        node = SiteNode(
            name=row.name,
            address=row.address,
            kind=row.kind,
            cpu_milli=row.cpu_milli,
            gpu_milli=row.gpu_milli,
            used=used.get((row.site_id, row.name), {}),
        )
        found[SiteId(row.site_id)] = (*found.get(SiteId(row.site_id), ()), node)
    return found


def _node(report: NodeReport) -> SiteNode:
    return SiteNode(
        name=clean_text(report.name),
        address=clean_text(report.address),
        kind=clean_text(report.kind),
        cpu_milli=round(report.cpus * 1_000),
        gpu_milli=round(report.gpus * 1_000),
        used={
            clean_text(one.attempt_id): (round(one.cpus * 1_000), round(one.gpus * 1_000))
            for one in report.used
        },
    )


def _row(site_id: SiteId, node: SiteNode, now: datetime) -> dict[str, object]:
    return {
        "site_id": site_id,
        "name": node.name,
        "address": node.address,
        "kind": node.kind,
        "cpu_milli": node.cpu_milli,
        "gpu_milli": node.gpu_milli,
        "reported_at": now,
    }


def _uses(site_id: SiteId, node: SiteNode) -> list[dict[str, object]]:
    return [
        {
            "site_id": site_id,
            "node": node.name,
            "attempt_id": attempt_id,
            "cpu_milli": cpu_milli,
            "gpu_milli": gpu_milli,
        }
        for attempt_id, (cpu_milli, gpu_milli) in sorted(node.used.items())
    ]
