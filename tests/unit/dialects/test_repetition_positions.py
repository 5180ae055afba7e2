"""Runaway repetition is found wherever it begins and ends, although few positions of a long text are examined."""

import random

import pytest

from intellirouter.core import errors
from intellirouter.dialects.adapt.repetition import MIN_RUN_CHARS, check_text

_SENTENCE = "The same words are written again and again. "


def _prose(length: int) -> str:
    words = random.Random(7).choices(
        ["every", "answer", "has", "other", "words", "in", "another", "order", "than", "one", "before"], k=length
    )
    return " ".join(words)[:length]


def _text(before: int, run: int, after: int) -> str:
    return _prose(before) + (_SENTENCE * (run // len(_SENTENCE) + 1))[:run] + _prose(after)


@pytest.mark.parametrize("before", [0, 1, 1_999, 2_000, 7_777, 16_001, 31_000, 45_678])
@pytest.mark.parametrize("after", [0, 1_500, 2_001, 40_000])
def test_run_is_found_at_every_position(before: int, after: int) -> None:
    run = MIN_RUN_CHARS + 2_000 + len(_SENTENCE)
    with pytest.raises(errors.UpstreamMalformed):
        check_text(_text(before, run, after), is_at_limit=False)


@pytest.mark.parametrize("before", [0, 1, 1_999, 2_000, 7_777, 16_001, 31_000, 45_678])
def test_shorter_run_is_accepted(before: int) -> None:
    check_text(_text(before, MIN_RUN_CHARS - 2_000, 40_000), is_at_limit=False)
