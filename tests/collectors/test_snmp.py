"""SNMP devices: real agents on loopback, and one that lies."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from snmp_agents import AUTH_PASSWORD, PRIV_PASSWORD, USER, free_udp_port, liar, snmpd, snmpsim

from collectors.snmp.ber import BerError, Missing, element, integer_element, oid_bytes
from collectors.snmp.client import Patience, SnmpClient, SnmpFailure
from collectors.snmp.pdu import (
    REPORT,
    RESPONSE,
    Request,
    community_and_answer,
    request_pdu,
    version_of,
)
from collectors.snmp.port import SnmpPort
from collectors.snmp.usm import (
    Auth,
    Engine,
    Envelope,
    Keys,
    Letter,
    Priv,
    SecurityError,
    User,
    keys_for,
    letter_of,
    seal,
)
from collectors.snmp.voices import CommunityVoice, UserVoice, Voice

BASE = "1.3.6.1.4.1.318.1.1.26.4.3.1"
OIDS = [f"{BASE}.{column}.1" for column in range(50, 110)]
QUICK = Patience(timeout_s=0.1, tries=2)
CALM = Patience(timeout_s=2.0, tries=3)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real snmpd with sixty objects and a table of three rows."""
    values = {oid: f"uinteger {number}" for number, oid in enumerate(OIDS)}
    values |= {f"{BASE}.5.{row}": f"integer {row * 10}" for row in (1, 2, 10)}
    values[f"{BASE}.200.1"] = "octet_str words"
    values["1.3.6.1.2.1.1.2.0"] = "object_id .1.3.6.1.4.1.318.1.3.4.6"
    with snmpd(tmp_path_factory.mktemp("snmpd"), values) as port:
        yield port


def alice(**changes: object) -> User:
    """Return the user that the agent knows."""
    words: dict[str, object] = {
        "name": USER,
        "auth": Auth.SHA1,
        "auth_password": AUTH_PASSWORD,
        "priv": Priv.AES128,
        "priv_password": PRIV_PASSWORD,
    }
    return User(**(words | changes))  # type: ignore[arg-type]


def a_client(port: int, voice: Voice | None = None, patience: Patience = CALM) -> SnmpClient:
    """Return a client with a socket of its own."""
    return SnmpClient(SnmpPort(), "127.0.0.1", port, voice or CommunityVoice("public"), patience)


VOICES = [
    pytest.param(lambda: CommunityVoice("public"), id="2c"),
    pytest.param(lambda: UserVoice(alice()), id="3 SHA AES"),
    pytest.param(lambda: UserVoice(alice(name="carol", auth=Auth.SHA256)), id="3 SHA-256 AES"),
]


@pytest.mark.parametrize("voice", VOICES)
async def test_objects_are_read_in_pieces_and_what_is_missing_is_named(
    agent: int, voice: Callable[[], Voice]
) -> None:
    client = a_client(agent, voice())
    try:
        found = await client.get([*OIDS, f"{BASE}.50.9", "1.3.9.9"])
    finally:
        client.close()
    assert [found[oid] for oid in OIDS] == list(range(60))
    assert isinstance(found[f"{BASE}.50.9"], Missing)
    assert isinstance(found["1.3.9.9"], Missing)


@pytest.mark.parametrize("voice", VOICES)
async def test_a_table_is_walked_to_its_end(agent: int, voice: Callable[[], Voice]) -> None:
    client = a_client(agent, voice())
    try:
        assert await client.walk(f"{BASE}.5") == {
            f"{BASE}.5.1": 10, f"{BASE}.5.2": 20, f"{BASE}.5.10": 100,
        }  # fmt: skip
        assert await client.walk("1.3.9") == {}
    finally:
        client.close()


@pytest.mark.parametrize(
    ("user", "words"),
    [
        pytest.param(alice(name="bob"), "does not know the user", id="unknown user"),
        pytest.param(alice(auth_password="x" * 8), "wrong password", id="wrong auth password"),
        pytest.param(alice(priv_password="x" * 8), "did not answer", id="wrong priv password"),
        pytest.param(alice(priv=None), "refuses: authorization error", id="not sealed"),
        pytest.param(alice(auth=Auth.SHA512), "wrong password or kind", id="another signature"),
    ],
)
async def test_a_refused_user_is_told_why(agent: int, user: User, words: str) -> None:
    client = a_client(agent, UserVoice(user), Patience(timeout_s=0.5, tries=2))
    try:
        with pytest.raises(SnmpFailure, match=words) as caught:
            await client.get([OIDS[0]])
    finally:
        client.close()
    assert AUTH_PASSWORD not in str(caught.value)


async def test_a_wrong_community_and_a_dead_port_do_not_answer(agent: int) -> None:
    for port, community in ((agent, "secret-word"), (free_udp_port(), "public")):
        client = a_client(port, CommunityVoice(community), QUICK)
        with pytest.raises(SnmpFailure, match=r"did not answer 2 tries of 0.1 s") as caught:
            await client.get([OIDS[0]])
        client.close()
        assert "secret-word" not in str(caught.value) + caught.value.next_step


async def test_a_name_without_an_address_is_named() -> None:
    client = SnmpClient(SnmpPort(), "no.such.host.invalid", 161, CommunityVoice("public"), QUICK)
    with pytest.raises(SnmpFailure, match="has no address"):
        await client.get([OIDS[0]])
    client.close()


async def test_many_devices_share_one_socket(agent: int) -> None:
    port = SnmpPort()
    clients = [
        SnmpClient(port, "127.0.0.1", agent, CommunityVoice("public"), CALM) for _ in range(50)
    ]
    found = await asyncio.gather(*(client.get(OIDS[:11]) for client in clients))
    assert len({tuple(each.items()) for each in found}) == 1
    for client in clients:
        client.close()


def changed(request: bytes, **fields: object) -> bytes:
    """Return an answer to a request of version 2c with the fields that are given."""
    _, at, end = version_of(request)
    _, asked = community_and_answer(request.replace(b"\xa0", b"\xa2", 1), at, end)
    request_id = fields.get("request_id", asked.request_id)
    pairs = fields.get("pairs", [(oid, integer_element(7)) for oid, _ in asked.pairs])
    assert isinstance(request_id, int)
    assert isinstance(pairs, list)
    body = b"".join(element(0x30, element(6, oid_bytes(oid)) + raw) for oid, raw in pairs)
    error = fields.get("error", (0, 0))
    assert isinstance(error, tuple)
    pdu = integer_element(request_id) + integer_element(error[0]) + integer_element(error[1])
    return element(
        0x30,
        integer_element(1) + element(4, b"public") + element(0xA2, pdu + element(0x30, body)),
    )


async def test_a_lost_message_is_sent_again_and_a_late_answer_still_counts() -> None:
    async with liar(lambda data, nth: [changed(data)] if nth else []) as port:
        client = a_client(port, patience=Patience(timeout_s=0.1, tries=100))
        assert await client.get(["1.3.6.1.1"]) == {"1.3.6.1.1": 7}
        client.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(lambda d, n: [b"\x30\x82\xff\xff\x01"], "nonsense 2 times: cut off", id="cut"),
        pytest.param(lambda d, n: [changed(d)[:-3]], "nonsense", id="shortened"),
        pytest.param(lambda d, n: [b"hello"], "nonsense", id="another protocol"),
        pytest.param(
            lambda d, n: [changed(d, request_id=5)], "was not asked", id="id of another request"
        ),
        pytest.param(
            lambda d, n: [changed(d, pairs=[("1.3.6.1.2", integer_element(1))])],
            "other objects than were asked", id="another object",
        ),
        pytest.param(
            lambda d, n: [changed(d, pairs=[("1.3.6.1.1", element(2, b""))])],
            "a length that SNMP does not have", id="empty number",
        ),
    ],
)  # fmt: skip
async def test_no_sample_comes_from_a_lie(
    answer: Callable[[bytes, int], list[bytes]], words: str
) -> None:
    async with liar(answer) as port:
        client = a_client(port, patience=Patience(timeout_s=0.5, tries=2))
        with pytest.raises(SnmpFailure, match=words):
            await client.get(["1.3.6.1.1"])
        client.close()


async def test_a_lie_before_the_truth_changes_nothing() -> None:
    def both(data: bytes, nth: int) -> list[bytes]:
        del nth
        return [b"nonsense", changed(data, request_id=9), changed(data)]

    async with liar(both) as port:
        client = a_client(port)
        assert await client.get(["1.3.6.1.1"]) == {"1.3.6.1.1": 7}
        client.close()


async def test_an_object_that_the_device_fails_to_give_costs_no_other_one() -> None:
    def fails_second(data: bytes, nth: int) -> list[bytes]:
        return [changed(data, error=(5, 2))] if nth == 0 else [changed(data)]

    async with liar(fails_second) as port:
        client = a_client(port)
        found = await client.get(["1.3.6.1.1", "1.3.6.1.2", "1.3.6.1.3"])
        client.close()
    assert found == {"1.3.6.1.1": 7, "1.3.6.1.2": Missing.FAILED, "1.3.6.1.3": 7}


async def test_a_small_device_is_asked_for_less_at_once() -> None:
    def small(data: bytes, nth: int) -> list[bytes]:
        del nth
        return [changed(data) if len(data) < 70 else changed(data, error=(1, 0), pairs=[])]

    oids = [f"1.3.6.1.{number}" for number in range(1, 10)]
    async with liar(small) as port:
        client = a_client(port)
        assert await client.get(oids) == dict.fromkeys(oids, 7)
        client.close()


async def test_a_table_that_never_ends_is_a_failure_and_not_a_loop() -> None:
    def forever(data: bytes, nth: int) -> list[bytes]:
        del nth
        raw = data.replace(b"\xa5", b"\xa0", 1)
        return [changed(raw, pairs=[("1.3.6.1.1.5", integer_element(1))])]

    async with liar(forever) as port:
        client = a_client(port)
        with pytest.raises(SnmpFailure, match="would go on for ever"):
            await client.walk("1.3.6.1.1")
        client.close()


def test_an_answer_without_a_signature_is_not_taken_by_a_user_who_signs() -> None:
    """A stranger cannot speak for the device by leaving the signature out."""
    engine = Engine(id=b"engine", boots=1, time_s=100, seen_s=0.0)
    nobody = Keys(sign=b"", seal=b"")

    def letter(tag: int, user: User, keys: Keys, at: Engine = engine) -> Letter:
        pdu = bytes((tag,)) + request_pdu(Request.GET, 1, [OIDS[0]])[1:]
        data = seal(Envelope(message_id=1, engine=at, user=user, keys=keys, now_s=0.0, salt=1), pdu)
        _, begins, end = version_of(data)
        return letter_of(data, begins, end)

    user = alice()
    keys = keys_for(user, b"engine")
    voice = UserVoice(user)
    voice.meet(letter(REPORT, user, nobody), 0.0)
    assert voice.hear(letter(RESPONSE, user, keys)).pairs == ((OIDS[0], None),)
    for forged in (
        letter(RESPONSE, user, nobody),
        letter(RESPONSE, user, replace(keys, seal=b"")),
        letter(RESPONSE, user, replace(keys, sign=b"x" * 20)),
        letter(RESPONSE, user, keys, replace(engine, boots=0)),
        letter(RESPONSE, user, keys, replace(engine, id=b"other")),
    ):
        with pytest.raises((SecurityError, BerError)):
            voice.hear(forged)


async def test_one_slow_device_delays_no_other(tmp_path: Path, agent: int) -> None:
    records = {"slow": f"{OIDS[0]}|2:delay|wait=60000,value=5\n"}
    records = {"public": f"{OIDS[0]}|66|1\n", **records}
    with snmpsim(tmp_path, records) as port:
        slow = a_client(port, CommunityVoice("slow"), Patience(timeout_s=60.0, tries=1))
        quick = a_client(agent)
        waiting = asyncio.create_task(slow.get([OIDS[0]]))
        await asyncio.sleep(0)
        assert await quick.get([OIDS[0]]) == {OIDS[0]: 0}
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})
        slow.close()
        quick.close()
