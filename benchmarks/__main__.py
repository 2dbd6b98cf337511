"""``python -m benchmarks NAME|all [--quick] [--only PART] [--file DATA] [--json FILE]``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import frame


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks and return the exit code: 0, or 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark, or all")
    parser.add_argument("--list", action="store_true", help="print the benchmarks and stop")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PART", help="only this part of a benchmark"
    )
    parser.add_argument(
        "--file", action="append", default=[], type=Path, metavar="DATA",
        help="data to measure with, where a benchmark takes some",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args(arguments)
    if given.list or not given.names:
        for name in frame.names():
            print(f"{name:<10} {frame.summary(name)}")
        return 0
    wanted = frame.names() if given.names == ["all"] else tuple(given.names)
    unknown = [name for name in wanted if name not in frame.names()]
    if unknown:
        known = ", ".join(frame.names())
        print(f"unknown benchmark: {', '.join(unknown)}; there are: {known}", file=sys.stderr)
        return 2
    print("  ".join(f"{key}={value}" for key, value in frame.machine().items()), flush=True)
    options = frame.Options(quick=given.quick, only=tuple(given.only), files=tuple(given.file))
    figures: list[frame.Figure] = []
    for name in wanted:
        own = list(frame.load(name).run(options))
        print(f"\n{name}\n{frame.table(own)}", flush=True)
        figures += own
        if given.json is not None:
            frame.write_json(given.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
