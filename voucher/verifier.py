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

A line of the usual form is cut up without a JSON parser and written anew from what was recounted;
where both are the same, everything about the entry follows. Any other line is read slowly.

Parts of a large file are read by processes side by side. Each believes the line before its part,
and of each account what the first entry tells that moves it; the part before must end with both.
Where anything is wrong, the whole file is read again to say what.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, BinaryIO, NamedTuple

FORMAT, CLOSE = "suanwang-journal", "close-period"
TEXTS = ("key", "kind", "tenant_id", "body", "balances", "moves", "late_for")
FIELDS = frozenset(("seq", "at", "chain", *TEXTS))
GENESIS = {"sha256": "01" + "00" * 32, "sm3": "02" + "00" * 32}
MAY_BE_NEGATIVE = ("budget", "bank", "due", "receivable", "reused")
NEVER_POSITIVE = ("budget", "due", "receivable", "reused")
FINDINGS_MAX, SHAPES_MAX, AMOUNTS_MAX = 100, 100_000, 100_000
PROCESSES_MAX, PARTS_PER_PROCESS = 16, 2
PART_BYTES_MIN, END_BYTES_MAX, READ_BYTES = 2**23, 2**12, 2**15
_HASHES: dict[str, Any] = {"sha256": hashlib.sha256, "sm3": partial(hashlib.new, "sm3")}
_HEAD = struct.Struct(">33sQqIIIIIII")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - runs on old Pythons as well


def canonical(document: object) -> str:
    """Return the one way to write a JSON document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Account:
    """What stands on an account, in fen."""

    def __init__(self, name: str, fen: int) -> None:
        self.name, self.fen, kind = name, fen, name.partition(":")[0]
        self.may_fall, self.owes = kind in MAY_BE_NEGATIVE, kind in NEVER_POSITIVE


class Shape:
    """The first postings of an entry without amounts; ``after`` leads on by giver and taker.

    ``moves`` is to be filled with amounts, ``told`` with what stands on the accounts of ``order``.
    """

    def __init__(self, moves: str, accounts: dict[str, Account]) -> None:
        self.after: dict[str, tuple[Account, Account, Shape]] = {}
        self.moves, names = moves, sorted(accounts)
        self.order = [accounts[name] for name in names]
        labels = [name.replace("%", "%%") for name in names]
        self.told = "{" + ",".join([f'"{label}":%d' for label in labels]) + "}"


class Verifier:
    """Reads the lines of an export; ``findings`` are what is wrong with it."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self._find = self.findings.append
        self.entries, self.link = 0, ""
        self.links = set[str]()
        self._hash = _HASHES["sha256"]
        self._accounts: dict[str, Account] = {}
        self._amounts: dict[str, int] = {}
        self._shape, self._shapes = Shape("", {}), 0
        self._at, self._at_us, self._is_open, self._has_ended = "", 0, False, False

    @property
    def balances(self) -> dict[str, int]:
        """What stands on each account, in fen."""
        return {name: account.fen for name, account in self._accounts.items()}

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
            if not (self._is_open and self._take_usual(raw)):
                self._line(number, raw)
            if wanted and self.entries and self.link in wanted:
                self.links.add(self.link)

    def _take_usual(self, raw: bytes) -> bool:
        """Take an entry in, if its line has the usual form and everything in it follows."""
        seq = self.entries + 1
        try:
            line = raw.decode()
            at, _, raw_body, _, key, kind, late_for, raw_moves, tail = line.split('","')
            # Each begins with its field's name; only its length counts here, since in the end the
            # line is compared with one that has the right names.
            number = f'seq":{seq},"tenant_id":"'
            at, key, kind, late_for = at[7:], key[6:], kind[7:], late_for[11:]
            raw_body, raw_moves, tenant = raw_body[7:], raw_moves[8:], tail[len(number) : -3]
            body = raw_body.replace('\\"', '"')
            text = f"{key}{kind}{late_for}{tenant}{body}"
            is_odd = "\\" in text or text.count('"') != len(raw_body) - len(body) or kind == CLOSE
            if is_odd or not text.isprintable():
                return False
            told, moves = self._move(raw_moves)
        except (ValueError, KeyError):
            return False
        link = self._next(seq, at, (key, kind, tenant, body, told, moves, late_for))
        raw_told = told.replace('"', '\\"')
        if line != (
            f'{{"at":"{at}","balances":"{raw_told}","body":"{raw_body}","chain":"{link}",'
            f'"key":"{key}","kind":"{kind}","late_for":"{late_for}","moves":"{raw_moves}",'
            f'"{number}{tenant}"}}\n'
        ):
            self._move_back(raw_moves.split("\\n")[:-1])
            return False
        self.link, self.entries = link, seq
        return True

    def _move(self, raw_moves: str) -> tuple[str, str]:
        """Return balances and moves of an entry; raise and move nothing if it is not usual."""
        postings = raw_moves.split("\\n")
        amounts, shape, texts = self._amounts, self._shape, []
        try:
            if postings.pop():
                raise ValueError("there is no line feed at the end")
            for posting in postings:
                pair, _, text = posting.rpartition("\\t")
                source, target, shape = shape.after.get(pair) or self._grow(shape, pair)
                amount = amounts.get(text) or self._amount(text)
                source.fen -= amount
                target.fen += amount
                texts.append(text)
                if (source.fen < 0 and not source.may_fall) or (target.owes and target.fen > 0):
                    raise ValueError("a balance has the wrong sign")
        except (ValueError, KeyError):
            self._move_back(postings[: len(texts)])
            raise
        told = shape.told % tuple([account.fen for account in shape.order])
        return told, shape.moves % tuple(texts)

    def _move_back(self, postings: Iterable[str]) -> None:
        for source, target, text in [posting.split("\\t") for posting in postings]:
            self._accounts[source].fen += int(text)
            self._accounts[target].fen -= int(text)

    def _grow(self, shape: Shape, pair: str) -> tuple[Account, Account, Shape]:
        """Return what follows a shape; raise KeyError for an account that no entry has moved."""
        source, _, target = pair.partition("\\t")
        # Nothing in these names may be written as an escape.
        _must(f"{source}{target}".isprintable() and '"' not in pair and "\\" not in source + target)
        accounts = {account.name: account for account in shape.order}
        accounts |= {name: self._accounts[name] for name in (source, target)}
        moves = shape.moves + f"{source}\t{target}\t".replace("%", "%%") + "%s\n"
        step = accounts[source], accounts[target], Shape(moves, accounts)
        if self._shapes < SHAPES_MAX:
            shape.after[pair] = step
            self._shapes += 1
        return step

    def _amount(self, text: str) -> int:
        amount = int(text)
        _must(amount > 0 and str(amount) == text)
        if len(self._amounts) < AMOUNTS_MAX:
            self._amounts[text] = amount
        return amount

    def _next(self, seq: int, at: str, texts: Sequence[str]) -> str:
        """Return the link of the next entry, or an empty text where it can have none."""
        text = "".join(texts)
        covered = text.encode()
        lengths = map(len, texts if len(covered) == len(text) else [one.encode() for one in texts])
        try:
            if at != self._at:
                self._at, self._at_us = at, _microseconds(at)
            head = _HEAD.pack(bytes.fromhex(self.link), seq, self._at_us, *lengths)
        except (ValueError, OverflowError, struct.error):
            return ""
        return f"{self.link[:2]}{self._hash(head + covered).hexdigest()}"

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
        digest = _digest_in(head) or "sha256"
        if not _digest_in(head):
            self._find("line 1: this is not the head of an export that this verifier knows")
        self._is_open, self._hash, self.link = True, _HASHES[digest], GENESIS[digest]

    def _end(self, end: dict[str, Any]) -> None:
        self._is_open, self._has_ended = False, True
        if canonical(end) != _end_after(self.entries, self.link):
            self._find(f"the end does not follow {self.entries} entries up to the link {self.link}")
        if total := sum(self.balances.values()):
            self._find(f"all accounts add up to {total} fen, not to 0")

    def _entry(self, number: int, entry: dict[str, Any]) -> None:
        if not _is_entry(entry):
            self._find(f"line {number}: this is not an entry")
            return
        seq = entry["seq"]
        if seq != self.entries + 1:
            self._find(f"line {number}: entry {seq} stands where {self.entries + 1} should")
        if self._next(seq, entry["at"], [entry[name] for name in TEXTS]) != entry["chain"]:
            self._find(f"line {number}: the chain breaks at entry {seq}")
        self._money(number, entry)
        self.link = entry["chain"]
        self.entries += 1

    def _money(self, number: int, entry: dict[str, Any]) -> None:
        try:
            moves = _moves(entry["moves"])
        except ValueError:
            self._find(f"line {number}: the postings of entry {entry['seq']} cannot be read")
            return
        changes: dict[str, int] = {}
        for source, target, amount in moves:
            changes[source] = changes.get(source, 0) - amount
            changes[target] = changes.get(target, 0) + amount
        for name in changes.keys() - self._accounts.keys():
            fen = self.opening_of(name, changes[name], entry["balances"])
            self._accounts[name] = Account(name, fen)
        for name, change in changes.items():
            account = self._accounts[name]
            account.fen += change
            if (account.fen < 0 and not account.may_fall) or (account.fen > 0 and account.owes):
                self._find(f"line {number}: account {name} comes to {account.fen} fen")
        touched = {name: self._accounts[name].fen for name in changes}
        told = self.closing_of(entry) if entry["kind"] == CLOSE else canonical(touched)
        if told != entry["balances"]:
            self._find(f"line {number}: the balances of entry {entry['seq']} do not follow")

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
        self._is_open, self._hash = True, _HASHES[digest]
        self.entries, self.link = part.seq, part.link
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


def prove(path: str, links: Iterable[str] = (), count: int = 2, run: Any = map) -> Found | None:
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
    first_byte, seq, link = file.tell(), 0, GENESIS[digest]
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
    one = Stretch(digest, part)
    with open(path, "rb", 4 * READ_BYTES) as file:  # noqa: PTH123 - one file, few imports
        file.seek(part.first_byte)
        one.read(_lines(file, part.last_byte - part.first_byte), wanted)
    _must(not one.findings)
    return Found(one.entries, one.link, one.opening, one.balances, one.closes, one.links)


def _lines(file: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0:
        lines = file.readlines(min(left - 1, READ_BYTES) or 1)  # It stops beyond that many.
        left -= sum(map(len, lines)) or left
        yield from lines


def _join(parts: list[Part], all_found: Iterable[Found]) -> Found:
    """Compare what each part believed with how the one before it ends."""
    seq, link = parts[0].seq, parts[0].link
    balances, links = dict[str, int](), set[str]()
    for part, found in zip(parts, all_found):  # noqa: B905 - runs on old Pythons as well
        _must((part.seq, part.link) == (seq, link))
        _must(all(balances.get(name, 0) == fen for name, fen in found.opening.items()))
        before = _by_kind(balances)
        for told, moved in found.closes:
            totals = {kind: before.get(kind, 0) + moved.get(kind, 0) for kind in {*before, *moved}}
            _must(told == canonical(_by_kind(totals)))
        balances.update(found.closing)
        links |= found.links
        seq, link = found.seq, found.link
    return Found(seq, link, {}, balances, [], links)


def _must(holds: bool) -> None:
    if not holds:
        raise ValueError("the export is not sound")


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
    """Return the digest that the head of an export names, or an empty text for another head."""
    digest = str(head.get("digest"))
    known = canonical({"format": FORMAT, "version": 1, "digest": digest})
    return digest if digest in GENESIS and canonical(head) == known else ""


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
    _must(all(amount > 0 for _, _, amount in moves))
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
    except (RuntimeError, OSError):
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
    told = [f"  {finding}" for finding in verifier.findings[:FINDINGS_MAX]]
    if len(verifier.findings) > FINDINGS_MAX:
        told.append(f"  and {len(verifier.findings) - FINDINGS_MAX} more")
    told.append("THE JOURNAL IS NOT SOUND" if told else "the journal is sound")
    told.insert(0, f"{verifier.entries} entries, the newest link is {verifier.link}")
    sys.stdout.write("\n".join(told) + "\n")
    return not verifier.findings


def main(arguments: list[str]) -> int:
    """Verify a file and return 0 if it is sound, 1 if not, 2 if it cannot be read."""
    parser = argparse.ArgumentParser(description="Check an export of a Suanwang ledger.")
    parser.add_argument("export", help="file written by `suanwang voucher export-journal`")
    parser.add_argument("--link", action="append", default=[], help="must be in the chain")
    chosen = parser.parse_args(arguments)
    try:
        return 0 if _tell(chosen.export, chosen.link) else 1
    except OSError as failure:
        sys.stderr.write(f"{chosen.export} cannot be read: {failure}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
