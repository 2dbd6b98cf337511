"""A report as JSON, written line by line; amounts are whole fen, as everywhere in the product."""

import json
from collections.abc import Iterator, Sequence

from voucher.reports.report import Fact, Report, Row, Section, summing


def json_text(report: Report) -> Iterator[str]:
    """Yield one JSON object piece by piece."""
    head = {"report": report.name, "title": report.title, "facts": _facts(report.facts)}
    yield json.dumps(head, ensure_ascii=False)[:-1]
    yield f', "{report.main.name}": ['
    totals: dict[str, int] = {}
    gap = "\n"
    for row in summing(report.main, totals):
        yield gap + json.dumps(_row(report.main, row), ensure_ascii=False)
        gap = ",\n"
    tail = report.after(totals)
    end: dict[str, object] = {"totals": totals, "closing": _facts(tail.facts)}
    for section in tail.sections:
        end[section.name] = [_row(section, row) for row in section.rows]
    yield "\n], " + json.dumps(end, ensure_ascii=False)[1:] + "\n"


def _facts(facts: Sequence[Fact]) -> dict[str, object]:
    return {fact.name: fact.value for fact in facts}


def _row(section: Section, row: Row) -> dict[str, object]:
    return {column.name: value for column, value in zip(section.columns, row, strict=True)}
