"""Who waits for a fair lock gets it in the order of coming."""

import threading

from suanwang.clock import SystemClock
from suanwang.db.fair_lock import FairLock


def test_waiting_threads_are_served_in_their_order() -> None:
    lock, order, clock = FairLock(), [], SystemClock()
    threads = []

    def take(number: int) -> None:
        with lock:
            order.append(number)

    with lock:
        for number in range(20):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(lock._waiting) <= number:
                clock.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert order == list(range(20))


def test_who_lets_go_and_comes_again_stands_at_the_end() -> None:
    lock, order, clock = FairLock(), [], SystemClock()

    def take() -> None:
        with lock:
            order.append("other")

    with lock:
        other = threading.Thread(target=take)
        other.start()
        while not lock._waiting:
            clock.sleep(0.001)
    with lock:
        order.append("first")
    other.join(10)
    assert order == ["other", "first"]
