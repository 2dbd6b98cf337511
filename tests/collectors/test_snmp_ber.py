"""Whatever comes by UDP, decoding gives a value or says what is wrong."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.snmp.ber import BerError, Missing, element, oid_bytes, oid_text, value
from collectors.snmp.pdu import Request, community_and_answer, message_2c, request_pdu, version_of
from collectors.snmp.usm import Auth, Keys, Priv, User, keys_for, letter_of, open_letter

ARCS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("tag", "raw", "expected"),
    [
        pytest.param(0x02, b"\xff", -1, id="minus one"),
        pytest.param(0x02, b"\x80\x00\x00\x00", -(2**31), id="least integer"),
        pytest.param(0x42, b"\x00\xff\xff\xff\xff", 2**32 - 1, id="greatest gauge"),
        pytest.param(0x46, b"\x00" + b"\xff" * 8, 2**64 - 1, id="greatest counter"),
        pytest.param(0x04, b"hello", b"hello", id="octets"),
        pytest.param(0x06, b"\x2b\x06\x01\x84\x10", "1.3.6.1.528", id="object identifier"),
        pytest.param(0x05, b"", None, id="null"),
        pytest.param(0x80, b"", Missing.NO_OBJECT, id="no object"),
        pytest.param(0x81, b"", Missing.NO_INSTANCE, id="no instance"),
        pytest.param(0x82, b"", Missing.END, id="end"),
        pytest.param(0x44, b"\x9f\x78\x04\x41\x48\x00\x00", 12.5, id="float"),
    ],
)
def test_values_are_what_they_say(tag: int, raw: bytes, expected: object) -> None:
    data = element(tag, raw)
    assert value(data, 0, len(data)) == (expected, len(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(element(0x02, b""), id="integer without bytes"),
        pytest.param(element(0x02, b"\x7f" * 20), id="integer of twenty bytes"),
        pytest.param(element(0x42, b""), id="gauge without bytes"),
        pytest.param(element(0x42, b"\x01" + b"\x00" * 4), id="gauge beyond 32 bits"),
        pytest.param(element(0x44, b"\x9f\x78\x04\x7f\xc0\x00\x00"), id="float that is no number"),
        pytest.param(element(0x09, b"\x40"), id="unknown kind"),
        pytest.param(b"\x02\x84\xff\xff\xff\xff", id="length beyond the end"),
        pytest.param(b"\x02\x80\x00", id="length without an end"),
        pytest.param(b"\x02", id="header cut off"),
        pytest.param(element(0x06, b"\x2b\x86"), id="identifier cut off"),
    ],
)
def test_no_value_comes_from_garbage(data: bytes) -> None:
    with pytest.raises(BerError):
        value(data, 0, len(data))


@given(st.integers(0, 1), st.integers(0, 39), st.lists(ARCS, max_size=30))
def test_an_object_identifier_survives_its_bytes(first: int, second: int, rest: list[int]) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    assert oid_text(oid_bytes(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1", "1.x", "3.1", "1.40", "1.3.-1", "1.3.4294967296", "1..3"]
)
def test_what_is_no_object_identifier_is_refused(text: str) -> None:
    with pytest.raises(BerError):
        oid_bytes(text)


@given(st.binary(max_size=400))
def test_any_datagram_is_an_answer_or_refused(data: bytes) -> None:
    _read(data)


@given(
    st.lists(st.sampled_from(["1.3.6.1.4.1.318.1", "1.3.6.1.2.1.33"])),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
)
def test_an_answer_with_bytes_changed_is_an_answer_or_refused(
    oids: list[str], changes: list[tuple[int, int]]
) -> None:
    message = bytearray(message_2c(b"public", request_pdu(Request.GET, 77, oids)))
    for at, byte in changes:
        message[at % len(message)] = byte
    _read(bytes(message).replace(b"\xa0", b"\xa2", 1))


@given(st.binary(max_size=300))
def test_any_body_of_a_version_3_message_is_an_answer_or_refused(body: bytes) -> None:
    keys = Keys(sign=b"k" * 20, seal=b"s" * 16)
    security = element(
        0x30,
        element(4, b"engine") + element(2, b"\x01") * 2 + element(4, b"u") + element(4, b"x" * 12)
        + element(4, b"saltsalt"),
    )  # fmt: skip
    head = element(0x30, element(2, b"\x01") * 2 + element(4, b"\x07") + element(2, b"\x03"))
    message = element(0x30, element(2, b"\x03") + head + element(4, security) + element(4, body))
    version, at, end = version_of(message)
    assert version == 3
    with pytest.raises(BerError):
        open_letter(letter_of(message, at, end), keys)


def _read(data: bytes) -> None:
    try:
        version, at, end = version_of(data)
        if version == 3:
            letter_of(data, at, end)
            return
        _, found = community_and_answer(data, at, end)
    except BerError:
        return
    for _, each in found.pairs:
        assert not isinstance(each, float) or math.isfinite(each)


def test_keys_are_those_of_the_standard() -> None:
    # RFC 3414, appendix A.3.2: password "maplesyrup", engine 00 00 00 00 00 00 00 00 00 00 00 02.
    engine = bytes(11) + b"\x02"
    user = User(name="u", auth=Auth.SHA1, auth_password="maplesyrup")
    assert keys_for(user, engine).sign.hex() == "6695febc9288e36282235fc7151f128497b38f3f"
    md5 = User(name="u", auth=Auth.MD5, auth_password="maplesyrup")
    assert keys_for(md5, engine).sign.hex() == "526f5eed9fcce26f8964c2930787d82b"


def test_a_key_is_as_long_as_its_cipher_wants() -> None:
    for priv, size in ((Priv.AES128, 16), (Priv.AES192, 24), (Priv.AES256, 32)):
        user = User(
            name="u", auth=Auth.SHA1, auth_password="x" * 8, priv=priv, priv_password="y" * 8
        )
        assert len(keys_for(user, b"engine").seal) == size


def test_passwords_are_not_shown() -> None:
    user = User(name="u", auth=Auth.SHA1, auth_password="hidden-1", priv_password="hidden-2")
    assert "hidden" not in repr(user) + repr(keys_for(user, b"e"))
