"""The dashboards as typed code: rows of panels over the metrics in ``docs/metrics.md``.

Built with Grafana's own SDK for 11.6, so a wrong option is a type error and the result is valid for
the published schema. The data source is a variable: the same board serves Prometheus and
VictoriaMetrics.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

OVERVIEW_UID: Final = "suanwang-overview"
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_GRID: Final = 24
_HEIGHT: Final = 7
_COUNTED_FROM: Final = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSpec:
    """One panel: what it shows, its unit in Grafana's words, and its queries with their legends.

    ``number`` is its id where something links to it; the others are counted.
    """

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: Literal["stat", "series"] = "series"
    description: str = ""
    decimals: int | None = None
    number: int = 0


OVERVIEW: Final[tuple[tuple[str, tuple[PanelSpec, ...]], ...]] = (
    (
        "Sites 数据中心",
        (
            PanelSpec(
                title="Agents up",
                number=1,
                unit="none",
                kind="stat",
                queries=(("suanwang_site_reachable", "{{site}}"),),
                description="1 while the site's agent was heard lately.",
            ),
            PanelSpec(
                title="Sources up",
                number=2,
                unit="none",
                kind="stat",
                queries=(("sum by (site) (suanwang_source_up)", "{{site}}"),),
                description="Telemetry sources whose last poll succeeded.",
            ),
            PanelSpec(
                title="Age of the newest power reading",
                unit="s",
                queries=(("suanwang_site_power_age_seconds", "{{site}} {{part}}"),),
            ),
        ),
    ),
    (
        "Alerts 告警",
        (
            PanelSpec(
                title="Alerts that fire",
                number=6,
                unit="none",
                queries=(
                    (
                        'sum by (site, severity) (suanwang_alerts{state="firing"})'
                        " or on() vector(0)",
                        "{{site}} {{severity}}",
                    ),
                ),
                description="`suanwang alerts list` names them.",
            ),
            PanelSpec(
                title="Messages that wait or are dead",
                unit="none",
                queries=(
                    (
                        'sum by (channel, state) (suanwang_alert_messages{state!="sent"})'
                        " or on() vector(0)",
                        "{{channel}} {{state}}",
                    ),
                ),
                description="Dead ones could not be delivered for a day.",
            ),
        ),
    ),
    (
        "PUE and power 能效",
        (
            PanelSpec(
                title="Interim PUE, last day",
                number=3,
                unit="none",
                decimals=3,
                kind="stat",
                queries=(("suanwang_site_pue", "{{site}}"),),
                description="From energy registers, never from averaged power.",
            ),
            PanelSpec(
                title="Power",
                number=4,
                unit="watt",
                queries=(("suanwang_site_power_watts", "{{site}} {{part}}"),),
            ),
        ),
    ),
    (
        "Figures 指标",
        (
            PanelSpec(
                title="Carbon of IT energy",
                unit="none",
                decimals=3,
                queries=(('suanwang_site_kpi{kpi=~"cue_.*"}', "{{site}} {{kpi}}"),),
                description="kgCO2/kWh of the newest day; two books that are never mixed.",
            ),
            PanelSpec(
                title="Water of IT energy",
                unit="none",
                decimals=2,
                queries=(('suanwang_site_kpi{kpi="wue"}', "{{site}}"),),
                description="Litres a kWh of the newest day.",
            ),
            PanelSpec(
                title="Renewable and reused energy",
                unit="percentunit",
                queries=(('suanwang_site_kpi{kpi=~"ref|erf"}', "{{site}} {{kpi}}"),),
                description="REF counts each certificate once.",
            ),
            PanelSpec(
                title="Intelligent share of compute",
                unit="percentunit",
                kind="stat",
                queries=(("suanwang_network_intelligent_share", "{{precision}}"),),
                description="Of all sites; a share without its precision says nothing.",
            ),
        ),
    ),
    (
        "Accelerators 算力",
        (
            PanelSpec(
                title="Units in use",
                unit="none",
                queries=(
                    (
                        "suanwang_pool_units - suanwang_pool_units_free",
                        "{{site}} {{accelerator}}",
                    ),
                ),
            ),
            PanelSpec(
                title="Share in use",
                number=5,
                unit="percentunit",
                queries=(
                    (
                        "1 - sum by (site) (suanwang_pool_units_free)"
                        " / sum by (site) (suanwang_pool_units)",
                        "{{site}}",
                    ),
                ),
            ),
        ),
    ),
    (
        "Queue 队列",
        (
            PanelSpec(
                title="Jobs by state",
                unit="none",
                queries=(("suanwang_jobs", "{{state}}"),),
            ),
            PanelSpec(
                title="Planning time",
                unit="s",
                queries=(("suanwang_plan_seconds", "{{part}}"),),
            ),
        ),
    ),
    (
        "Money 算力券",
        (
            PanelSpec(
                title="Vouchers",
                unit="currencyCNY",
                decimals=2,
                queries=(("suanwang_voucher_fen / 100", "{{tenant}} {{part}}"),),
            ),
            PanelSpec(
                title="Ledger entries",
                unit="none",
                kind="stat",
                queries=(("suanwang_ledger_entries", "entries"),),
            ),
        ),
    ),
)


def build_all() -> dict[str, dict[str, object]]:
    """Return every dashboard as a JSON document, by file name."""
    return {"suanwang-overview": build_overview()}


def build_overview() -> dict[str, object]:
    """Return the overview: sites, PUE, accelerators, queue and money."""
    builder = (
        board.Dashboard("Suanwang 算网")
        .uid(OVERVIEW_UID)
        .tags(["suanwang"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .editable()
        .with_variable(
            board.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
    )
    numbers = itertools.count(_COUNTED_FROM)
    for title, panels in OVERVIEW:
        builder = builder.with_row(board.Row(title))
        for panel in _panels(panels, numbers):
            builder = builder.with_panel(panel)
    document: dict[str, object] = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    return document


def queries() -> tuple[tuple[str, str], ...]:
    """Return every query with the title of its panel, for the check that none is empty."""
    return tuple(
        (panel.title, expression)
        for _, panels in OVERVIEW
        for panel in panels
        for expression, _ in panel.queries
    )


def _panels(
    specs: Sequence[PanelSpec], numbers: Iterator[int]
) -> list[stat.Panel | timeseries.Panel]:
    width = _GRID // len(specs)
    return [_panel(spec, width, spec.number or next(numbers)) for spec in specs]


def _panel(spec: PanelSpec, width: int, number: int) -> stat.Panel | timeseries.Panel:
    panel: stat.Panel | timeseries.Panel = (
        stat.Panel() if spec.kind == "stat" else timeseries.Panel()
    )
    panel = (
        panel.title(spec.title)
        .id(number)
        .description(spec.description)
        .unit(spec.unit)
        .datasource(_SOURCE)
        .height(_HEIGHT)
        .span(width)
    )
    if spec.decimals is not None:
        panel = panel.decimals(spec.decimals)
    for index, (expression, legend) in enumerate(spec.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend)
        panel = panel.with_target(query.ref_id(chr(ord("A") + index)))
    return panel
