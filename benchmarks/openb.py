"""Reads node and pod files in the form of the openb trace of 2023 (Alibaba's cluster data)."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from optimizer.packing import Need, Node, Workload
from optimizer.residue import WHOLE
from suanwang.errors import BadInput


def is_nodes(path: Path) -> bool:
    """Return whether a file lists nodes; raise BadInput where it lists neither nodes nor pods."""
    head = set(next(iter(_lines(path)), {}))
    if {"sn", "cpu_milli", "gpu"} <= head:
        return True
    if {"cpu_milli", "num_gpu", "gpu_milli"} <= head:
        return False
    raise BadInput(
        f"{path} has the columns {', '.join(sorted(head)) or 'of nothing'}; a file of nodes has sn,"
        " cpu_milli, memory_mib, gpu, model, one of pods cpu_milli, memory_mib, num_gpu, gpu_milli"
    )


def read_nodes(path: Path) -> tuple[Node, ...]:
    """Return empty nodes."""
    return tuple(
        Node(
            id=row["sn"],
            cpu_milli=int(row["cpu_milli"]),
            memory_mib=int(row["memory_mib"]),
            free_milli=(WHOLE,) * int(row["gpu"]),
            model=row["model"],
        )
        for row in _lines(path)
    )


def read_pods(path: Path) -> tuple[Need, ...]:
    """Return what each pod asks for, in the order of the file."""
    return tuple(_need(row) for row in _lines(path))


def workload_of(pods: tuple[Need, ...]) -> Workload:
    """Return the kinds of pods and how often each stands in the trace."""
    counted = Counter(pods)
    return Workload(tuple(counted), tuple(counted.values()))


def _need(row: dict[str, str]) -> Need:
    accelerators = int(row["num_gpu"])
    return Need(
        cpu_milli=int(row["cpu_milli"]),
        memory_mib=int(row["memory_mib"]),
        accelerators=accelerators,
        milli=int(row["gpu_milli"]) if accelerators == 1 else WHOLE,
        models=frozenset(filter(None, (row.get("gpu_spec") or "").split("|"))),
    )


def _lines(path: Path) -> Iterator[dict[str, str]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    yield from csv.DictReader(text.splitlines())
