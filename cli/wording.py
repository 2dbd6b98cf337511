"""Reasons on the command line, in the language that is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from cli.output import Json
from suanwang.errors import SuanwangError
from voucher.wording import Language, joined

Lang = Annotated[Language, typer.Option("--lang", help="Language of reasons and their like.")]


def sentence(told: Json, lang: Language) -> str:
    """Return the sentence of an answer's reason, flag or cut, with the line it is about."""
    text = str(told["message_zh"] if lang is Language.CHINESE else told["message"])
    line_id = told.get("line_id")
    return f"{line_id}: {text}" if line_id else text


@contextmanager
def refused_in(lang: Language) -> Iterator[None]:
    """Tell the reasons of a refusal in a language; an error without reasons is told as it is."""
    try:
        yield
    except SuanwangError as failure:
        reasons = failure.facts.get("fact_findings")
        if lang is Language.ENGLISH or not isinstance(reasons, list):
            raise
        text = joined((sentence(one, lang) for one in reasons), lang)
        raise type(failure)(text, next_step=failure.next_step, **failure.facts) from failure
