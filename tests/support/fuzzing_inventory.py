"""Parsers of the inventory for the fuzzer: files of things, and NetBox's answers."""

import json
from collections.abc import Iterator

from inventory_builders import HALL, hall
from netbox_part import OBJECTS

from collectors.inventory.files import read_file
from collectors.inventory.netbox import NetboxMap, discover
from suanwang.errors import BadInput
from suanwang.model.inventory import Inventory, Kind, values_of
from suanwang.sheets import write_csv

FILES = (hall(), write_csv(HALL["racks"]))
ANSWERS = (json.dumps(OBJECTS).encode(),)


def read_inventory(raw: bytes) -> Iterator[float]:
    """Yield the numbers that a file says."""
    for row in read_file(raw, Inventory(), Kind.RACKS).rows:
        yield from (float(one) for one in values_of(row.item).values() if isinstance(one, float))


def read_netbox(raw: bytes) -> Iterator[float]:
    """Yield how many rows there are of each kind; what is no list of objects is no answer."""
    answers = json.loads(raw)
    if not isinstance(answers, dict):
        raise ValueError("no answers by endpoint")
    lists = {name: of_it for name, of_it in answers.items() if isinstance(of_it, list)}
    known = {name: [one for one in of_it if isinstance(one, dict)] for name, of_it in lists.items()}
    for rows in discover(known, NetboxMap()).rows.values():
        yield float(len(rows))


PARSERS = (
    ("inventory", FILES, read_inventory, (BadInput,)),
    ("netbox", ANSWERS, read_netbox, (ValueError,)),
)
"""Name, valid inputs, parser and its refusals."""
