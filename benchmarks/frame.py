"""What every benchmark shares: options, figures, the machine, the table and the JSON file."""

import importlib
import json
import os
import pkgutil
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Protocol, cast

import benchmarks

_NOT_BENCHMARKS: Final = frozenset(
    {
        *("__main__", "anchor", "frame", "fleet", "fleet_servers", "instances"),
        *("intake", "openb", "queries", "remote", "replan", "small_batches"),
        *("chains", "configurations", "skypilot_side"),
        *("scenario_day", "scenario_rows", "shards", "whole"),
    }
)
_NAMED_VERSIONS: Final = ("suanwang", "numpy", "scipy", "highspy", "pulp", "sqlalchemy", "ray")

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: ``quick`` takes small sizes, enough to see that the benchmark works.

    ``only`` names the parts of a benchmark that are wanted; none means all. ``files`` are data that
    a benchmark reads in place of its own.
    """

    quick: bool = False
    only: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


class Figure:
    """One measured number with its unit, and labels that say what it was measured on.

    ``Figure("ledger.entries_per_s", 12345.0, "1/s", backend="sqlite")``. A name has two parts: the
    benchmark and the quantity.
    """

    __slots__ = ("figure", "labels", "unit", "value")

    def __init__(self, figure: str, value: float, unit: str, **labels: Scalar) -> None:
        self.figure = figure
        self.value = value
        self.unit = unit
        self.labels = labels

    def document(self) -> dict[str, Scalar]:
        """Return the figure as one flat JSON object."""
        return {"figure": self.figure, **self.labels, "value": self.value, "unit": self.unit}


class Benchmark(Protocol):
    """A module in ``benchmarks/`` with a ``run``."""

    def run(self, options: Options) -> Iterable[Figure]:
        """Measure and yield figures as they come."""


def names() -> tuple[str, ...]:
    """Return the names of all benchmarks: the modules beside this one."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return tuple(sorted(name for name in found if name not in _NOT_BENCHMARKS))


def load(name: str) -> Benchmark:
    """Return a benchmark by its name; raise KeyError for an unknown one."""
    if name not in names():
        raise KeyError(name)
    return cast(Benchmark, importlib.import_module(f"benchmarks.{name}"))


def summary(name: str) -> str:
    """Return the first line of a benchmark's docstring, without importing what it needs to run."""
    path = Path(benchmarks.__path__[0]) / f"{name}.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[0].strip('"') if lines else ""


def machine() -> dict[str, Scalar]:
    """Return what the figures were measured on: cores, processor, memory, system, versions."""
    facts: dict[str, Scalar] = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        "cpu": _cpu_model(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }
    for distribution in _NAMED_VERSIONS:
        try:
            facts[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return facts


def table(figures: Sequence[Figure]) -> str:
    """Return figures as lines of text: name, labels, value, unit."""
    rows = [("figure", "on", "value", "unit")]
    for figure in figures:
        labels = " ".join(f"{key}={value}" for key, value in figure.labels.items())
        rows.append((figure.figure, labels, number(figure.value), figure.unit))
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {labels:<{widths[1]}}  {value:>{widths[2]}}  {unit}".rstrip()
        for name, labels, value, unit in rows
    )


def number(value: float) -> str:
    """Write a number with four significant digits, large ones whole."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def write_json(path: Path, figures: Sequence[Figure]) -> None:
    """Write the list of figures; the machine is repeated in each, so a line stands for itself."""
    facts = machine()
    documents = [{**figure.document(), "machine": facts} for figure in figures]
    path.write_text(json.dumps(documents, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    if sys.platform == "win32" or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
