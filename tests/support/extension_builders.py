"""A site and a job in the middle of its run, for tests of what changes its time."""

from datetime import timedelta

from scheduler_builders import CHEAP, START, TENANT, Centre, a_new_job, a_pool, a_site

from scheduler.accounting import JobMeter, job_meter
from suanwang.db.engine import reading
from suanwang.model.attempt import Attempt
from suanwang.wire.agent import ExtendOrder
from voucher import store as money_store
from voucher.check import check


def furnish(centre: Centre) -> Centre:
    """Add a site at 6 yuan a core and hour (1 fen for 6 s), and 2.50 yuan of cash."""
    centre.register(a_site(CHEAP, a_pool(CHEAP, yuan=6)))
    centre.add_tenant(cash_fen=250)
    return centre


def begin(centre: Centre, **wishes: object) -> str:
    """Let a job of ten minutes (1.00 yuan) run; return the id of its attempt."""
    centre.submit(a_new_job(**wishes))  # type: ignore[arg-type]  # a builder takes any wish
    centre.cycle()
    centre.acknowledge(CHEAP, *(order.id for order in centre.orders(CHEAP)))
    name = str(attempt(centre).id)
    centre.tell(name, 1, "running", started_at=centre.clock.now())
    return name


def attempt(centre: Centre) -> Attempt:
    """The newest attempt."""
    return centre.attempts()[-1]


def pass_time(centre: Centre, name: str, seconds: float, every_s: float = 20.0) -> None:
    """Let time pass while the site greets and the centre reconciles."""
    end = centre.clock.now() + timedelta(seconds=seconds)
    while (left_s := (end - centre.clock.now()).total_seconds()) > 0:
        centre.clock.advance(min(every_s, left_s))
        centre.greet(CHEAP, name)
        centre.reconcile()


def confirm(centre: Centre, *, late: bool = False) -> list[ExtendOrder]:
    """Let the site take its orders; return the extensions among them."""
    orders = centre.orders(CHEAP)
    ids = tuple(order.id for order in orders)
    centre.acknowledge(CHEAP, *ids, late=ids if late else ())
    return [order for order in orders if isinstance(order, ExtendOrder)]


def end(centre: Centre, name: str, state: str, at_s: float) -> None:
    """Report the end of a run that began at ``START``."""
    ended_at = START + timedelta(seconds=at_s)
    window = {"started_at": START, "ended_at": ended_at, "window_source": "supervisor"}
    centre.tell(name, 99, state, **window)


def free_cash(centre: Centre) -> int:
    """Free cash of the tenant, after a look at the books."""
    with reading(centre.engine) as connection:
        audit = check(connection)
        assert audit.is_sound, audit.findings
        return money_store.cash_fen(connection, TENANT)


def meter(centre: Centre) -> JobMeter:
    """What the job's meter shows now."""
    with reading(centre.engine) as connection:
        shown = job_meter(connection, centre.job(), centre.clock.now())
    assert shown is not None
    return shown
