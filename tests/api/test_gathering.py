"""Submits that arrive together share a transaction, and nothing else."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from scheduler_builders import a_job, a_new_job

from api.gathering import Gathering
from scheduler.admission import Answer, NewJob
from suanwang.errors import Conflict, SuanwangError, Unavailable
from suanwang.model.job import Job

WAIT_S = 60


class Desk:
    """Writes groups; the first one waits until ``go``, so that the others gather."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.gathering = Gathering()
        self._first = threading.Event()
        self.go = threading.Event()

    def write(self, news: Sequence[NewJob]) -> list[Answer]:
        """Take in all but those whose names say otherwise."""
        self.groups.append([new.submission_id for new in news])
        if len(self.groups) == 1:
            self._first.set()
            assert self.go.wait(WAIT_S)
        if any(new.submission_id.startswith("breaks") for new in news):
            raise Unavailable("the database is away")
        return [self._answer(new) for new in news]

    def submit(self, name: str) -> Job | SuanwangError:
        """Submit, and return what comes of it."""
        try:
            return self.gathering.submit(a_new_job(name), self.write)
        except SuanwangError as error:
            return error

    def crowd(self, names: Sequence[str]) -> dict[str, Job | SuanwangError]:
        """Submit one, and while it is written all others at once."""
        with ThreadPoolExecutor(len(names)) as pool:
            first = pool.submit(self.submit, names[0])
            assert self._first.wait(WAIT_S)
            others = [pool.submit(self.submit, name) for name in names[1:]]
            while self.gathering.waiting < len(names) - 1:
                threading.Event().wait(0.001)
            self.go.set()
            answers = [asked.result(WAIT_S) for asked in (first, *others)]
        return dict(zip(names, answers, strict=True))

    @staticmethod
    def _answer(new: NewJob) -> Answer:
        if new.submission_id.startswith("taken"):
            return Conflict(f"{new.submission_id} is taken")
        return a_job(submission_id=new.submission_id)


def test_those_that_wait_are_one_group() -> None:
    desk = Desk()
    answers = desk.crowd([f"job-{at}" for at in range(9)])
    assert [len(group) for group in desk.groups] == [1, 8]
    assert all(isinstance(a, Job) and a.submission_id == name for name, a in answers.items())


def test_a_group_has_a_limit() -> None:
    desk = Desk()
    desk.gathering = Gathering(group_max=3)
    answers = desk.crowd([f"job-{at}" for at in range(9)])
    assert sorted(len(group) for group in desk.groups) == [1, 2, 3, 3]
    assert all(isinstance(answer, Job) for answer in answers.values())


def test_each_hears_its_own_answer() -> None:
    answers = Desk().crowd(["a", "taken-b", "c", "taken-d"])
    assert isinstance(answers["a"], Job)
    assert isinstance(answers["c"], Job)
    assert str(answers["taken-b"]) == "taken-b is taken"
    assert str(answers["taken-d"]) == "taken-d is taken"


def test_a_submit_that_breaks_its_group_pays_alone() -> None:
    answers = Desk().crowd(["a", "b", "breaks", "c"])
    assert isinstance(answers["breaks"], Unavailable)
    assert all(isinstance(answers[name], Job) for name in ("a", "b", "c"))


def test_a_lone_submit_waits_for_nobody() -> None:
    desk = Desk()
    desk.go.set()
    assert isinstance(desk.submit("alone"), Job)
    with pytest.raises(Conflict):
        desk.gathering.submit(a_new_job("taken"), desk.write)
