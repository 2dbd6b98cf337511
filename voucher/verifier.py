"""Checks an export of the journal with nothing but Python: ``python verifier.py EXPORT``.

Copy this one file wherever you trust the Python; it imports nothing of the product. It follows the
chain, adds the postings up, and says in words what is wrong. Give it a link that you kept from a
statement (``--link``) to prove that the export has the same past.

The export is UTF-8 text, a JSON document a line: a head, the entries in order, and an end. The
link of an entry covers, in this order, all numbers big-endian::

    33 bytes   the link before it: version byte (1: SHA-256, 2: SM3), digest (at first: 32 zeros)
     8 bytes   seq, unsigned
     8 bytes   at, signed, microseconds since 1970-01-01T00:00:00Z
     7 x 4     bytes of key, kind, tenant_id, body, balances, moves and late_for, in UTF-8
    the texts  those seven, one after another
"""

import argparse
import hashlib
import json
import struct
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

FORMAT = "suanwang-journal"
TEXTS = ("key", "kind", "tenant_id", "body", "balances", "moves", "late_for")
FIELDS = frozenset(("seq", "at", "digest", "chain", *TEXTS))
VERSIONS = {"sha256": 1, "sm3": 2}
MAY_BE_NEGATIVE = ("funder", "bank", "receivable")
FINDINGS_MAX = 100
_HEAD = struct.Struct(">33sQqIIIIIII")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - runs on old Pythons as well


def canonical(document: object) -> str:
    """Return the one way to write a JSON document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Verifier:
    """Reads the lines of an export; ``findings`` are what is wrong with it."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.entries = 0
        self.link = ""
        self.links: set[str] = set()
        self._hash = "sha256"
        self._balances: dict[str, int] = {}
        self._has_ended = False

    def verify(self, lines: Iterable[bytes], known_links: Iterable[str] = ()) -> bool:
        """Read a whole export and return whether it is sound."""
        wanted = set(known_links)
        for number, raw in enumerate(lines, 1):
            document = self._document(number, raw)
            if number == 1:
                self._begin(document)
            elif self._has_ended:
                self._find(f"line {number}: there is something after the end")
            elif "end" in document:
                self._end(document)
            else:
                self._entry(number, document)
                if self.link in wanted:
                    self.links.add(self.link)
        if not self._has_ended:
            self._find("the export is cut off: it has no end")
        for missing in sorted(wanted - self.links):
            self._find(f"the link {missing} is not in this chain")
        return not self.findings

    def _find(self, finding: str) -> None:
        self.findings.append(finding)

    def _document(self, number: int, raw: bytes) -> dict[str, object]:
        """Return a line's document; a line that another writer would write is told."""
        try:
            text = raw.decode("utf-8")
            document = json.loads(text)
            if isinstance(document, dict) and canonical(document) + "\n" == text:
                return document
        except (ValueError, RecursionError):
            pass
        self._find(f"line {number}: this is not how the export writes a line")
        return {}

    def _begin(self, head: dict[str, object]) -> None:
        name = head.get("digest")
        if name not in VERSIONS or head != {"format": FORMAT, "version": 1, "digest": name}:
            self._find("line 1: this is not the head of an export that this verifier knows")
            name = "sha256"
        self._hash = str(name)
        self.link = f"{VERSIONS[self._hash]:02x}" + "00" * 32

    def _end(self, end: dict[str, object]) -> None:
        self._has_ended = True
        if end != {"end": {"seq": self.entries, "chain": self.link}}:
            self._find(
                f"the end does not follow: {self.entries} entries were read, "
                f"the newest link is {self.link}"
            )
        total = sum(self._balances.values())
        if total:
            self._find(f"all accounts add up to {total} fen, not to 0")

    def _entry(self, number: int, entry: dict[str, object]) -> None:
        seq = entry.get("seq")
        if set(entry) != FIELDS or not all(
            isinstance(entry[name], int if name == "seq" else str) for name in FIELDS
        ):
            self._find(f"line {number}: this is not an entry")
            return
        if seq != self.entries + 1:
            self._find(f"line {number}: entry {seq} stands where {self.entries + 1} should")
        if self._link_of(entry) != entry["chain"]:
            self._find(f"line {number}: the chain breaks at entry {seq}")
        body = str(entry["body"]).encode("utf-8")
        if hashlib.sha256(body).hexdigest() != entry["digest"]:
            self._find(f"line {number}: the request of entry {seq} does not match its digest")
        self._money(number, entry)
        self.link = str(entry["chain"])
        self.entries += 1

    def _link_of(self, entry: dict[str, object]) -> str:
        texts = [str(entry[name]).encode("utf-8") for name in TEXTS]
        try:
            at_us = _microseconds(str(entry["at"]))
            former = bytes.fromhex(self.link)
            head = _HEAD.pack(former, entry["seq"], at_us, *map(len, texts))
        except (ValueError, TypeError, OverflowError, struct.error):
            return ""
        digest = hashlib.new(self._hash, head + b"".join(texts)).hexdigest()
        return f"{VERSIONS[self._hash]:02x}{digest}"

    def _money(self, number: int, entry: dict[str, object]) -> None:
        try:
            moves = list(_moves(str(entry["moves"])))
        except ValueError:
            self._find(f"line {number}: the postings of entry {entry['seq']} cannot be read")
            return
        touched: dict[str, int] = {}
        for source, target, amount in moves:
            for name, change in ((source, -amount), (target, amount)):
                after = self._balances.get(name, 0) + change
                self._balances[name] = touched[name] = after
        self._limits(number, moves, touched)
        if entry["kind"] == "close-period":
            touched = self._totals()
        if canonical(touched) != entry["balances"]:
            self._find(f"line {number}: the balances of entry {entry['seq']} do not follow")

    def _limits(
        self, number: int, moves: Iterable[tuple[str, str, int]], touched: dict[str, int]
    ) -> None:
        for _, _, amount in moves:
            if amount <= 0:
                self._find(f"line {number}: {amount} fen moved")
        for name, after in touched.items():
            if after < 0 and name.partition(":")[0] not in MAY_BE_NEGATIVE:
                self._find(f"line {number}: account {name} falls to {after} fen")

    def _totals(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for name, amount in self._balances.items():
            kind = name.partition(":")[0]
            totals[kind] = totals.get(kind, 0) + amount
        return {kind: total for kind, total in totals.items() if total}


def _microseconds(text: str) -> int:
    at = datetime.fromisoformat(text)
    if at.isoformat(timespec="microseconds") != text:
        raise ValueError("another way to write a moment")
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moves(text: str) -> Iterator[tuple[str, str, int]]:
    written = []
    for line in text.split("\n")[:-1]:
        source, target, amount = line.split("\t")
        yield source, target, int(amount)
        written.append(f"{source}\t{target}\t{int(amount)}\n")
    if "".join(written) != text:
        raise ValueError("not the form of postings")


def main(arguments: list[str]) -> int:
    """Verify a file and return 0 if it is sound, 1 if not, 2 if it cannot be read."""
    parser = argparse.ArgumentParser(description="Check an export of a Suanwang ledger.")
    parser.add_argument("export", help="file written by `suanwang voucher export-journal`")
    parser.add_argument(
        "--link", action="append", default=[], help="a link you kept; it must be in the chain"
    )
    chosen = parser.parse_args(arguments)
    verifier = Verifier()
    try:
        with open(chosen.export, "rb") as lines:  # noqa: PTH123 - one file, few imports
            is_sound = verifier.verify(lines, chosen.link)
    except OSError as failure:
        sys.stderr.write(f"{chosen.export} cannot be read: {failure}\n")
        return 2
    sys.stdout.write(f"{verifier.entries} entries, the newest link is {verifier.link}\n")
    for finding in verifier.findings[:FINDINGS_MAX]:
        sys.stdout.write(f"  {finding}\n")
    more = len(verifier.findings) - FINDINGS_MAX
    if more > 0:
        sys.stdout.write(f"  and {more} more\n")
    sys.stdout.write("the journal is sound\n" if is_sound else "THE JOURNAL IS NOT SOUND\n")
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
