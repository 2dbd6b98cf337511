"""The journal as a file that ``voucher/verifier.py`` checks without this product."""

from collections.abc import Generator
from contextlib import closing
from datetime import UTC

from sqlalchemy import Connection

from voucher.chain import algorithm_of
from voucher.commands import canonical
from voucher.store_audit import stand, stored_entries

FORMAT = "suanwang-journal"


def export_lines(connection: Connection) -> Generator[str]:
    """Yield the journal up to now, a JSON document a line, each ending in a line feed."""
    end = stand(connection, is_locked=False)
    digest = algorithm_of(end.chain).value
    yield canonical({"format": FORMAT, "version": 1, "digest": digest}) + "\n"
    with closing(stored_entries(connection, 0, end.seq)) as entries:
        for entry, _, chain in entries:
            document = {
                "seq": entry.seq,
                "key": entry.key,
                "kind": entry.kind,
                "tenant_id": entry.tenant_id,
                "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
                "body": entry.body,
                "balances": entry.balances,
                "moves": entry.moves,
                "late_for": entry.late_for,
                "chain": chain,
            }
            yield canonical(document) + "\n"
    yield canonical({"end": {"seq": end.seq, "chain": end.chain}}) + "\n"
