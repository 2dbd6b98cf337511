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

Nearly every line has the same form. Such a line is cut up without a JSON parser and written anew
from what was recounted; where both are the same, everything about the entry follows. Any other line
is read slowly, and what is wrong with it is said.

A large file is read in parts by processes side by side. Each believes the line before its part, and
of each account what the first entry tells that moves it: that must be how the part before ends. If
it is not, or a part has any fault, the whole file is read again to say what is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, BinaryIO, NamedTuple

FORMAT = "suanwang-journal"
TEXTS = ("key", "kind", "tenant_id", "body", "balances", "moves", "late_for")
FIELDS = frozenset(("seq", "at", "digest", "chain", *TEXTS))
VERSIONS = {"sha256": 1, "sm3": 2}
MAY_BE_NEGATIVE = ("budget", "bank", "due", "receivable", "reused")
NEVER_POSITIVE = ("budget", "due", "receivable", "reused")
CLOSE = "close-period"
FINDINGS_MAX = 100
PROCESSES_MAX = 16
PARTS_PER_PROCESS = 2
PART_BYTES_MIN = 2**23
END_BYTES_MAX = 2**12
_HEAD = struct.Struct(">33sQqIIIIIII")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - runs on old Pythons as well


def canonical(document: object) -> str:
    """Return the one way to write a JSON document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Verifier:
    """Reads the lines of an export; ``findings`` are what is wrong with it."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.entries, self.link = 0, ""
        self.links = set[str]()
        self.balances, self._labels = dict[str, int](), dict[str, str]()
        self._hash = "sha256"
        self._may_fall, self._may_not_rise = set[str](), set[str]()
        self._at, self._at_us = "", 0
        self._is_open = self._has_ended = False

    def verify(self, lines: Iterable[bytes], known_links: Iterable[str] = ()) -> bool:
        """Read a whole export and return whether it is sound."""
        wanted = set(known_links)
        self.read(lines, wanted)
        if not self._has_ended:
            self._find("the export is cut off: it has no end")
        for missing in sorted(wanted - self.links):
            self._find(f"the link {missing} is not in this chain")
        return not self.findings

    def read(self, lines: Iterable[bytes], wanted: set[str]) -> None:
        """Read lines, and note which of the ``wanted`` links are those of entries."""
        for number, raw in enumerate(lines, 1):
            before = self.entries
            if not (self._is_open and self._take_usual(raw)):
                self._line(number, raw)
            if self.link in wanted and self.entries > before:
                self.links.add(self.link)

    def _find(self, finding: str) -> None:
        self.findings.append(finding)

    def _take_usual(self, raw: bytes) -> bool:
        """Take an entry in, if its line has the usual form and everything in it follows."""
        seq = self.entries + 1
        try:
            line = raw.decode()
            at, _, raw_body, _, _, key, kind, late_for, raw_moves, tail = line.split('","')
            # Each begins with its field's name; only its length counts here, since in the end the
            # line is compared with one that has the right names.
            number = f'seq":{seq},"tenant_id":"'
            at, key, kind, late_for = at[7:], key[6:], kind[7:], late_for[11:]
            raw_body, raw_moves, tenant = raw_body[7:], raw_moves[8:], tail[len(number) : -3]
            body = raw_body.replace('\\"', '"')
            moves = raw_moves.replace("\\t", "\t").replace("\\n", "\n")
            others = f"{key}{kind}{late_for}{tenant}"
            if '"' in others or not f"{others}{body}{raw_moves}".isprintable() or kind == CLOSE:
                return False
            if '"' in moves or "\\" in f"{others}{body}{moves}":
                return False
            if len(body) + body.count('"') != len(raw_body):
                return False
            touched = self._moved(moves)
            labels = self._labels
            told = ",".join([f"{labels[name]}{touched[name]}" for name in sorted(touched)])
            link = self._next(seq, at, (key, kind, tenant, body, f"{{{told}}}", moves, late_for))
        except (ValueError, KeyError, struct.error):
            return False
        raw_told = told.replace('"', '\\"')
        if line != (
            f'{{"at":"{at}","balances":"{{{raw_told}}}","body":"{raw_body}","chain":"{link}",'
            f'"digest":"{hashlib.sha256(body.encode()).hexdigest()}","key":"{key}",'
            f'"kind":"{kind}","late_for":"{late_for}","moves":"{raw_moves}",'
            f'"{number}{tenant}"}}\n'
        ):
            return False
        self.balances.update(touched)
        self.link, self.entries = link, seq
        return True

    def _moved(self, moves: str) -> dict[str, int]:
        """Return the accounts that are touched; raise ValueError or KeyError if it is unusual."""
        balances = self.balances
        touched: dict[str, int] = {}
        postings = moves.split("\n")
        _must(not postings.pop())
        for posting in postings:
            source, target, text = posting.split("\t")
            amount = int(text)
            if amount <= 0 or str(amount) != text:
                raise ValueError("not an amount")
            fallen = touched[source] if source in touched else balances[source]
            touched[source] = fallen = fallen - amount
            risen = touched[target] if target in touched else balances[target]
            touched[target] = risen = risen + amount
            if fallen < 0 and source not in self._may_fall:
                raise ValueError("below zero")
            if risen > 0 and target in self._may_not_rise:
                raise ValueError("above zero")
        return touched

    def _next(self, seq: int, at: str, texts: Sequence[str]) -> str:
        """Return the link of the next entry; raise ValueError or struct.error for none."""
        if at != self._at:
            self._at, self._at_us = at, _microseconds(at)
        joined = "".join(texts)
        covered = joined.encode()
        lengths = [len(text) for text in texts]
        if len(covered) != len(joined):
            lengths = [len(text.encode()) for text in texts]
        covered = _HEAD.pack(bytes.fromhex(self.link), seq, self._at_us, *lengths) + covered
        is_usual = self._hash == "sha256"
        digest = hashlib.sha256(covered) if is_usual else hashlib.new(self._hash, covered)
        return self.link[:2] + digest.hexdigest()

    def _line(self, number: int, raw: bytes) -> None:
        """Read any line, and tell what is wrong with it."""
        try:
            document = _strict(raw)
        except (ValueError, RecursionError):
            self._find(f"line {number}: this is not how the export writes a line")
            document = {}
        if number == 1 and not self._is_open:
            self._begin(document)
        elif self._has_ended:
            self._find(f"line {number}: there is something after the end")
        elif "end" in document:
            self._end(document)
        else:
            self._entry(number, document)

    def _begin(self, head: dict[str, Any]) -> None:
        try:
            self._hash = _digest_in(head)
        except ValueError:
            self._find("line 1: this is not the head of an export that this verifier knows")
        self.link = _genesis(self._hash)
        self._is_open = True

    def _end(self, end: dict[str, Any]) -> None:
        self._is_open, self._has_ended = False, True
        if canonical(end) != _end_after(self.entries, self.link):
            self._find(
                f"the end does not follow: {self.entries} entries were read, "
                f"the newest link is {self.link}"
            )
        total = sum(self.balances.values())
        if total:
            self._find(f"all accounts add up to {total} fen, not to 0")

    def _entry(self, number: int, entry: dict[str, Any]) -> None:
        if not _is_entry(entry):
            self._find(f"line {number}: this is not an entry")
            return
        seq = entry["seq"]
        if seq != self.entries + 1:
            self._find(f"line {number}: entry {seq} stands where {self.entries + 1} should")
        try:
            link = self._next(seq, entry["at"], [entry[name] for name in TEXTS])
        except (ValueError, OverflowError, struct.error):
            link = ""
        if link != entry["chain"]:
            self._find(f"line {number}: the chain breaks at entry {seq}")
        if hashlib.sha256(entry["body"].encode()).hexdigest() != entry["digest"]:
            self._find(f"line {number}: the request of entry {seq} does not match its digest")
        self._money(number, entry)
        self.link = entry["chain"]
        self.entries += 1

    def _money(self, number: int, entry: dict[str, Any]) -> None:
        try:
            moves = _moves(entry["moves"])
        except ValueError:
            self._find(f"line {number}: the postings of entry {entry['seq']} cannot be read")
            return
        if any(amount <= 0 for _, _, amount in moves):
            self._find(f"line {number}: entry {entry['seq']} moves an amount not above zero")
        changes: dict[str, int] = {}
        for source, target, amount in moves:
            changes[source] = changes.get(source, 0) - amount
            changes[target] = changes.get(target, 0) + amount
        for name in changes.keys() - self.balances.keys():
            self._meet(name, self.opening_of(name, changes[name], entry["balances"]))
        touched = {name: self.balances[name] + change for name, change in changes.items()}
        self.balances.update(touched)
        self._limits(number, touched)
        told = self.closing_of(entry) if entry["kind"] == CLOSE else canonical(touched)
        if told != entry["balances"]:
            self._find(f"line {number}: the balances of entry {entry['seq']} do not follow")

    def _limits(self, number: int, touched: dict[str, int]) -> None:
        for name, after in touched.items():
            if after < 0 and name not in self._may_fall:
                self._find(f"line {number}: account {name} falls to {after} fen")
            if after > 0 and name in self._may_not_rise:
                self._find(f"line {number}: account {name} rises to {after} fen")

    def _meet(self, name: str, opening: int) -> None:
        self.balances[name] = opening
        self._labels[name] = canonical(name) + ":"
        kind = name.partition(":")[0]
        if kind in MAY_BE_NEGATIVE:
            self._may_fall.add(name)
        if kind in NEVER_POSITIVE:
            self._may_not_rise.add(name)

    def opening_of(self, name: str, change: int, told: str) -> int:
        """Return what stands on an account that is moved for the first time."""
        return 0

    def closing_of(self, entry: dict[str, Any]) -> str:
        """Return the totals that a closed period must tell."""
        return canonical(_by_kind(self.balances))


class Part(NamedTuple):
    """The lines from one byte of a file to another, and the entry that is said to be before."""

    first_byte: int
    last_byte: int
    seq: int
    link: str


class Found(NamedTuple):
    """What follows from a part, if the part before it ends as this one believed.

    ``opening`` are the balances that were believed, ``closing`` the same accounts at the end.
    ``closes`` are what closed periods tell of the totals, and how the part had moved them so far.
    """

    seq: int
    link: str
    opening: dict[str, int]
    closing: dict[str, int]
    closes: list[tuple[str, dict[str, int]]]
    links: set[str]


class Stretch(Verifier):
    """Reads a part of an export, and believes what it cannot know."""

    def __init__(self, digest: str, part: Part) -> None:
        super().__init__()
        self._hash, self.entries, self.link = digest, part.seq, part.link
        self._is_open = True
        self.opening: dict[str, int] = {}
        self.closes: list[tuple[str, dict[str, int]]] = []

    def opening_of(self, name: str, change: int, told: str) -> int:
        """Return what an entry tells, less what it moves."""
        after = json.loads(told)[name]
        _must(type(after) is int)
        self.opening[name] = after - change
        return self.opening[name]

    def closing_of(self, entry: dict[str, Any]) -> str:
        """Keep what a closed period tells for later."""
        moved = {name: fen - self.opening[name] for name, fen in self.balances.items()}
        self.closes.append((entry["balances"], _by_kind(moved)))
        return str(entry["balances"])


Map = Callable[[Callable[[Part], Found], Iterable[Part]], Iterable[Found]]


def prove(path: str, links: Iterable[str] = (), count: int = 2, run: Map = map) -> Found | None:
    """Return what follows from a sound export, or None where it is not sound.

    The file is read in up to ``count`` parts by ``run``: ``map``, or what does the same elsewhere.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - one file, few imports
            digest, parts, last = _parts(file, count)
        found = _join(parts, run(partial(_read, path, digest, set(links)), parts))
        _must(last == (_end_after(found.seq, found.link) + "\n").encode())
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return found


def _parts(file: BinaryIO, count: int) -> tuple[str, list[Part], bytes]:
    """Return the digest of an export, its parts, and its last line."""
    digest = _digest_in(_strict(file.readline()))
    first_byte, seq, link = file.tell(), 0, _genesis(digest)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(first_byte, size - END_BYTES_MAX))
    last = file.read().split(b"\n")[-2] + b"\n"
    last_byte = size - len(last)
    parts = []
    for left in range(count, 1, -1):
        file.seek(first_byte + (last_byte - first_byte) // left)
        file.readline()
        before, here = file.readline(), file.tell()
        if here >= last_byte:
            break
        entry = _strict(before)
        parts.append(Part(first_byte, here, seq, link))
        first_byte, seq, link = here, entry["seq"], entry["chain"]
    return digest, [*parts, Part(first_byte, last_byte, seq, link)], last


def _read(path: str, digest: str, wanted: set[str], part: Part) -> Found:
    """Follow a part; raise ValueError if anything is wrong with it."""
    stretch = Stretch(digest, part)
    with open(path, "rb") as file:  # noqa: PTH123 - one file, few imports
        file.seek(part.first_byte)
        stretch.read(_lines(file, part.last_byte - part.first_byte), wanted)
    _must(not stretch.findings)
    end = (stretch.entries, stretch.link)
    return Found(*end, stretch.opening, stretch.balances, stretch.closes, stretch.links)


def _lines(file: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0:
        line = file.readline()
        left -= len(line) or left
        yield line


def _join(parts: list[Part], all_found: Iterable[Found]) -> Found:
    """Compare what each part believed with how the one before it ends."""
    seq, link = parts[0].seq, parts[0].link
    balances: dict[str, int] = {}
    links: set[str] = set()
    for part, found in zip(parts, all_found):  # noqa: B905 - runs on old Pythons as well
        _must((part.seq, part.link) == (seq, link))
        _must(all(balances.get(name, 0) == fen for name, fen in found.opening.items()))
        before = _by_kind(balances)
        _must(all(told == _added(before, moved) for told, moved in found.closes))
        balances.update(found.closing)
        links |= found.links
        seq, link = found.seq, found.link
    return Found(seq, link, {}, balances, [], links)


def _must(holds: bool) -> None:
    if not holds:
        raise ValueError("the export is not sound")


def _added(one: dict[str, int], other: dict[str, int]) -> str:
    totals = {kind: one.get(kind, 0) + other.get(kind, 0) for kind in {*one, *other}}
    return canonical({kind: total for kind, total in totals.items() if total})


def _by_kind(balances: dict[str, int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for name, amount in balances.items():
        kind = name.partition(":")[0]
        totals[kind] = totals.get(kind, 0) + amount
    return {kind: total for kind, total in totals.items() if total}


def _strict(raw: bytes) -> dict[str, Any]:
    """Return a line's document; raise ValueError where another writer would have written it."""
    text = raw.decode()
    document = json.loads(text)
    _must(isinstance(document, dict) and canonical(document) + "\n" == text)
    return dict(document)


def _digest_in(head: dict[str, Any]) -> str:
    """Return the digest that the head of an export names; raise ValueError for another head."""
    digest = str(head.get("digest"))
    known = {"format": FORMAT, "version": 1, "digest": digest}
    _must(digest in VERSIONS and canonical(head) == canonical(known))
    return digest


def _genesis(digest: str) -> str:
    return f"{VERSIONS[digest]:02x}" + "00" * 32


def _end_after(seq: int, link: str) -> str:
    return canonical({"end": {"seq": seq, "chain": link}})


def _is_entry(document: dict[str, Any]) -> bool:
    types = {name: type(value) for name, value in document.items()}
    return types == {name: int if name == "seq" else str for name in FIELDS}


def _microseconds(text: str) -> int:
    at = datetime.fromisoformat(text)
    _must(at.isoformat(timespec="microseconds") == text and text.endswith("+00:00"))
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moves(text: str) -> list[tuple[str, str, int]]:
    lines = [line.split("\t") for line in text.split("\n")[:-1]]
    moves = [(source, target, int(amount)) for source, target, amount in lines]
    _must("".join([f"{source}\t{target}\t{amount}\n" for source, target, amount in moves]) == text)
    return moves


def prove_by_processes(path: str, known_links: Iterable[str] = ()) -> Found | None:
    """Do the same as ``prove`` with a process for each processor; None also for a small file."""
    size = os.stat(path).st_size  # noqa: PTH116 - one file, few imports
    count = min(os.cpu_count() or 1, PROCESSES_MAX, size // PART_BYTES_MIN)
    if count < 2:
        return None
    try:
        with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
            return prove(path, known_links, count * PARTS_PER_PROCESS, pool.map)
    except (BrokenProcessPool, OSError):
        return None  # Where no process may be started, this one reads the file.


def _tell(path: str, known_links: list[str]) -> bool:
    """Say what there is to say about an export, and return whether it is sound."""
    verifier = Verifier()
    found = prove_by_processes(path, known_links)
    if found is not None and found.links.issuperset(known_links):
        verifier.entries, verifier.link = found.seq, found.link
    else:
        with open(path, "rb") as lines:  # noqa: PTH123 - one file, few imports
            verifier.verify(lines, known_links)
    sys.stdout.write(f"{verifier.entries} entries, the newest link is {verifier.link}\n")
    findings = verifier.findings
    for finding in findings[:FINDINGS_MAX]:
        sys.stdout.write(f"  {finding}\n")
    if len(findings) > FINDINGS_MAX:
        sys.stdout.write(f"  and {len(findings) - FINDINGS_MAX} more\n")
    sys.stdout.write(f"{'THE JOURNAL IS NOT SOUND' if findings else 'the journal is sound'}\n")
    return not findings


def main(arguments: list[str]) -> int:
    """Verify a file and return 0 if it is sound, 1 if not, 2 if it cannot be read."""
    parser = argparse.ArgumentParser(description="Check an export of a Suanwang ledger.")
    parser.add_argument("export", help="file written by `suanwang voucher export-journal`")
    parser.add_argument(
        "--link", action="append", default=[], help="a link you kept; it must be in the chain"
    )
    chosen = parser.parse_args(arguments)
    try:
        return 0 if _tell(chosen.export, chosen.link) else 1
    except OSError as failure:
        sys.stderr.write(f"{chosen.export} cannot be read: {failure}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
