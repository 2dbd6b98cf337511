"""The journal leaves the centre in a form that the stand-alone verifier takes."""

from api_client import World

from voucher.verifier import Verifier


def test_the_export_is_sound_and_ends_with_the_newest_link(world: World) -> None:
    world.register()
    world.fund(amount_fen=10_000)
    answer = world.client.get("/v1/ledger/export", world.admin)
    assert answer.status_code == 200
    verifier = Verifier()
    assert verifier.verify(answer.content.splitlines(keepends=True)), verifier.findings
    assert verifier.entries == world.client.get("/v1/ledger/check", world.admin).json()["entries"]
