"""Checks an evidence pack offline: python verify_evidence.py PACK.zip [--key HEX] [--head SEQ:LINK]
[--journal FILE]

Needs Python 3.11 and nothing else: no network, no platform, no library. It checks that the
manifest is signed by the key you name, that no file was changed, that every entry gives the link
that it claims, that each link is in the tree whose root was signed, and that use, price and
payments add up; of a pack of a period also that its index is right. It ends with 0 when all of it
holds, else with 1.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

Json = Any
Point = tuple[int, int, int, int]

# Ed25519 after RFC 8032, section 6: verification only, of public data, so time does not matter.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) >> 2, P)

HEAD = struct.Struct(">33sQqIIIIIII")
DIGESTS = {1: "sha256", 2: "sm3"}
TEXTS = ("key", "kind", "tenant_id", "body", "balances", "moves", "late_for")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PEM = "-----BEGIN PUBLIC " + "KEY-----\n{}\n-----END PUBLIC KEY-----\n"
BYTES_MAX = 256 * 1024 * 1024
MS_PER_HOUR, UYUAN_PER_FEN = 3_600_000, 10_000
UNREADABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError,
    RuntimeError, TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def add(one: Point, two: Point) -> Point:
    """Add two points in extended coordinates."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number: int, point: Point) -> Point:
    """Multiply a point."""
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def x_of(y: int, sign: int) -> int | None:
    """Return the x of a point, or None where there is none."""
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) >> 3, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def point_of(data: bytes) -> Point | None:
    """Read a point from 32 bytes, or None."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = x_of(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = x_of(BASE_Y, 0) or 0
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 signature is right."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, point = point_of(public_key), point_of(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or point is None or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    left, right = times(scalar, BASE), add(point, times(challenge, key))
    is_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return is_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


class Report:
    """Counts and prints what holds and what does not."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, holds: bool, text: str) -> None:
        """Print one finding."""
        say(("ok    " if holds else "WRONG ") + text)
        self.failed += not holds


def link_of(entry: Json) -> str:
    """Return the link that an entry must have, after the one before it."""
    former = bytes.fromhex(entry["former"])
    at_us = (datetime.fromisoformat(entry["at"]) - EPOCH) // timedelta(microseconds=1)
    texts = [entry[name].encode() for name in TEXTS]
    data = HEAD.pack(former, entry["seq"], at_us, *map(len, texts)) + b"".join(texts)
    return str(entry["former"][:2]) + hashlib.new(DIGESTS[former[0]], data).hexdigest()


def root_from(link: str, path: Json) -> str:
    """Follow a path from a link to the root of the tree."""
    digest = hashlib.sha256(b"\x00" + bytes.fromhex(link)).digest()
    for step in path:
        sibling = bytes.fromhex(step[1:])
        pair = sibling + digest if step[0] == "L" else digest + sibling
        digest = hashlib.sha256(b"\x01" + pair).digest()
    return digest.hex()


def sides_of(seq: int, size: int) -> list[str]:
    """Return on which sides the siblings of entry ``seq`` stand in a tree over ``size`` links."""
    at, sides = seq - 1, []
    while size > 1:
        if at ^ 1 < size:
            sides.append("L" if at & 1 else "R")
        at, size = at >> 1, (size + 1) >> 1
    return sides


def is_placed(seq: Json, size: Json, path: Json) -> bool:
    """Say whether a path has the shape that place and length of the chain demand."""
    return 1 <= seq <= size and [step[:1] for step in path] == sides_of(seq, size)


def paid_of(entries: Json) -> tuple[int, int]:
    """Add up what vouchers and cash paid, in fen, from the postings."""
    voucher = cash = 0
    for entry in entries:
        for line in entry["moves"].splitlines():
            source, target, amount = line.split("\t")
            for account, change in ((target, int(amount)), (source, -int(amount))):
                kind = account.partition(":")[0]
                voucher += change * (kind == "spent")
                cash += change * (kind == "payable")
    return voucher, cash


def unit_ms_of(usage: Json) -> int:
    """Return units times milliseconds, each moment once, at the highest quantity given for it."""
    spans = [
        (datetime.fromisoformat(one["started_at"]), datetime.fromisoformat(one["ended_at"]), one)
        for one in usage
    ]
    edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
    total = timedelta(0)
    for low, high in pairwise(edges):
        most = max(
            (one["quantity"] for start, end, one in spans if start <= low and high <= end),
            default=0,
        )
        total += (high - low) * most
    return total // timedelta(milliseconds=1)


def signature_file(key: str, signature: str) -> bytes:
    """Return the one form in which a signature is written, so that no byte of it is free."""
    told = {
        "algorithm": "Ed25519",
        "public_key": bytes.fromhex(key).hex(),
        "signature": bytes.fromhex(signature).hex(),
        "signed": "manifest.json",
    }
    return (json.dumps(told, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def check_signature(report: Report, members: dict[str, bytes], wanted_key: str) -> None:
    """Check the manifest's signature and every file's digest."""
    signature = json.loads(members["manifest.sig.json"])
    manifest = members["manifest.json"]
    key = signature["public_key"]
    report.check(
        members["manifest.sig.json"] == signature_file(key, signature["signature"]),
        "the file of the signature says just who signed what",
    )
    pem = PEM.format(base64.b64encode(bytes.fromhex("302a300506032b6570032100" + key)).decode())
    report.check(members["public-key.pem"] == pem.encode(), "public-key.pem is the key that signed")
    if wanted_key:
        report.check(key == wanted_key.lower(), "the pack is signed with the key that you named")
    else:
        say("note  no --key: the pack vouches for its own key " + key)
    good = is_signed(bytes.fromhex(key), manifest, bytes.fromhex(signature["signature"]))
    report.check(good, "the signature of the manifest is right")
    files = json.loads(manifest)["files"]
    others = set(members) - set(files) - {"manifest.json", "manifest.sig.json"}
    report.check(not others, "no file is in the pack that the manifest does not name")
    for name, digest in sorted(files.items()):
        found = hashlib.sha256(members.get(name, b"")).hexdigest()
        report.check(name in members and found == digest, f"{name} is as it was signed")


def check_chain(report: Report, chain: Json, wanted_head: str) -> None:
    """Check every entry's link, and its way to the root."""
    head, root = chain["head"], chain["root"]
    if head["link"]:
        report.check(root_from(head["link"], head["path"]) == root, "the head is under the root")
        placed = is_placed(head["seq"], head["seq"], head["path"])
        report.check(placed, f"the head stands at the end of {head['seq']} entries")
    if wanted_head:
        seq, _, link = wanted_head.partition(":")
        if int(seq) == head["seq"]:
            report.check(link == head["link"], "the head is the one that you know")
        else:
            say(f"note  your head is entry {seq}, this pack's is {head['seq']}: ask for both")
    for entry in chain["entries"]:
        name = f"entry {entry['seq']} ({entry['kind']})"
        report.check(link_of(entry) == entry["link"], f"{name} gives its link")
        report.check(root_from(entry["link"], entry["path"]) == root, f"{name} is in the chain")
        placed = is_placed(entry["seq"], head["seq"], entry["path"])
        report.check(placed, f"{name} stands at its place before the head")


def check_journal(report: Report, chain: Json, journal: str) -> None:
    """Check that the links of an exported journal give the signed root, and follow each other."""
    level: list[bytes] = []
    former, whole = "", True
    with Path(journal).open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if "chain" not in entry or len(level) == chain["head"]["seq"]:
                continue
            first = entry["chain"][:2] + "00" * 32
            whole = whole and link_of({**entry, "former": former or first}) == entry["chain"]
            former = entry["chain"]
            level.append(hashlib.sha256(b"\x00" + bytes.fromhex(former)).digest())
    report.check(whole, f"{len(level)} entries of the journal follow each other")
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [
            hashlib.sha256(b"\x01" + b"".join(pair)).digest() if len(pair) > 1 else pair[0]
            for pair in pairs
        ]
    root = level[0].hex() if level else hashlib.sha256(b"").hexdigest()
    report.check(root == chain["root"], "the journal gives the root that was signed")


def check_amounts(report: Report, certificate: Json) -> None:
    """Check that use, price, payments and totals belong together."""
    entries, totals = certificate["chain"]["entries"], certificate["totals"]
    owner = certificate["enterprise"]["id"]
    report.check(
        all(one["tenant_id"] == owner for one in entries), "all entries are the customer's"
    )
    voucher, cash = paid_of(entries)
    told = (totals["voucher_fen"], totals["cash_fen"], totals["paid_fen"])
    report.check((voucher, cash, voucher + cash) == told, "the payments are those of the entries")
    attempts, most = certificate["job"]["attempts"], 0
    for attempt in attempts:
        used = unit_ms_of(attempt["usage"])
        report.check(used == attempt["unit_ms"], f"{attempt['id']}: the use adds up")
        price = attempt["price_uyuan_per_unit_hour"]
        most += used * price // (MS_PER_HOUR * UYUAN_PER_FEN)
    report.check(sum(one["unit_ms"] for one in attempts) == totals["unit_ms"], "total of the use")
    energy = sum(one["energy"]["energy_mwh"] for one in attempts)
    report.check(energy == totals["energy_mwh"], "total of the energy")
    report.check(voucher + cash <= most, f"{voucher + cash} fen paid, use times price is {most}")


def certificates_of(report: Report, members: dict[str, bytes]) -> list[Json]:
    """Return the certificate of a pack, or all of them where it has an index, which is checked."""
    if "index.json" not in members:
        return [json.loads(members["certificate.json"])]
    index = json.loads(members["index.json"])
    jobs, totals = index["jobs"], index["totals"]
    names = [job["file"] for job in jobs]
    there = {name for name in members if name.startswith("jobs/")}
    report.check(
        bool(names) and len(names) == len(set(names)) and set(names) == there,
        f"the index names each of {len(there)} certificates once",
    )
    told = [json.loads(members[name]) for name in names]
    for job, one in zip(jobs, told, strict=True):
        seqs = [entry["seq"] for entry in one["chain"]["entries"]]
        mine = (job["certificate"], job["job"], job["submission_id"], job["entries"])
        own = (one["id"], one["job"]["id"], one["job"]["submission_id"], seqs)
        report.check(mine == own, f"{job['file']} is the certificate that the index names")
        amounts = all(job[name] == one["totals"][name] for name in totals)
        report.check(amounts, f"{job['file']}: the index has its totals")
        paid = [entry for entry in one["chain"]["entries"] if is_paid_in(index, entry)]
        report.check(bool(paid), f"{job['file']} was paid in the period")
    owners = {one["enterprise"]["id"] for one in told} | {index["enterprise"]["id"]}
    report.check(len(owners) == 1, "all certificates are of one enterprise")
    sums = all(sum(job[name] for job in jobs) == totals[name] for name in totals)
    report.check(sums, "the totals of the index are those of its jobs")
    seqs = [seq for job in jobs for seq in job["entries"]]
    report.check(len(seqs) == len(set(seqs)), "no entry is in two certificates")
    mark = (index["chain"]["seq"], index["chain"]["link"], index["chain"]["root"])
    marks = {
        (one["chain"]["head"]["seq"], one["chain"]["head"]["link"], one["chain"]["root"])
        for one in told
    }
    report.check(marks == {mark}, "all certificates stand on the head of the index")
    return told


def is_paid_in(index: Json, entry: Json) -> bool:
    """Say whether an entry is a payment of the enterprise in the period of an index."""
    if entry["kind"] != "capture" or entry["tenant_id"] != index["enterprise"]["id"]:
        return False
    start, end = (datetime.fromisoformat(index["period"][name]) for name in ("start", "end"))
    if not start <= datetime.fromisoformat(entry["at"]) < end:
        return False
    targets = {line.split("\t")[1] for line in entry["moves"].splitlines()}
    wanted = {f"spent:{lot}" for lot in index["lots"]}
    return not wanted or bool(wanted & targets)


def check_complete(report: Report, index: Json, journal: str) -> None:
    """Check that no payment of the period is missing from an index, by the exported journal."""
    named = {seq for job in index["jobs"] for seq in job["entries"]}
    missing = []
    with Path(journal).open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            is_old = "chain" in entry and entry["seq"] <= index["chain"]["seq"]
            if is_old and is_paid_in(index, entry) and entry["seq"] not in named:
                missing.append(entry["seq"])
    told = f": entries {missing} are missing" if missing else ""
    report.check(not missing, f"every payment of the period is in the pack{told}")


def verify(path: str, key: str = "", head: str = "", journal: str = "") -> int:
    """Check a pack, print what is found, and return the number of things that are wrong."""
    report = Report()
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if sum(one.file_size for one in archive.infolist()) > BYTES_MAX:
                raise ValueError(f"it unpacks to more than {BYTES_MAX} bytes")
            members = {name: archive.read(name) for name in names}
        report.check(len(names) == len(members), "no name is in the pack twice")
        check_signature(report, members, key)
        told = certificates_of(report, members)
        for certificate in told:
            check_chain(report, certificate["chain"], head)
            check_amounts(report, certificate)
        if journal:
            check_journal(report, told[0]["chain"], journal)
        flags = [flag for certificate in told for flag in certificate["flags"]]
        if "index.json" in members:
            index = json.loads(members["index.json"])
            flags += index["flags"]
            if journal:
                check_complete(report, index, journal)
    except UNREADABLE as failure:
        report.check(False, f"the pack cannot be read: {type(failure).__name__}: {failure}")
        return report.failed
    for text in dict.fromkeys(f"look  {flag['code']}: {flag['message']}" for flag in flags):
        say(text)
    return report.failed


def main() -> int:
    """Read the arguments, verify, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack")
    parser.add_argument("--key", default="", help="public key in hex, from a source you trust")
    parser.add_argument("--head", default="", metavar="SEQ:LINK", help="a head that you kept")
    parser.add_argument("--journal", default="", help="the exported journal, where you have it")
    given = parser.parse_args()
    failed = verify(given.pack, given.key, given.head, given.journal)
    say(f"{failed} things are wrong" if failed else "all of it holds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
