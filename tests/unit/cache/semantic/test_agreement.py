"""Whether two answers say the same."""

import pytest

from intellirouter.cache.semantic.agreement import answers_agree

LONG = "The capital of Chile is Santiago, a city with about 7 million people at the foot of the Andes."
OTHER = "Santiago is Chile's capital. About 7 million people live there, and the Andes are close to the city."


def similar(_one: str, _other: str) -> float:
    return 0.95


def different(_one: str, _other: str) -> float:
    return 0.5


@pytest.mark.parametrize(
    ("stored", "real"),
    [
        ("Santiago.", "Santiago"),
        ("It is Santiago.", "Santiago"),
        ("42", "42"),
        ("Yes.", "Yes"),
        (LONG, OTHER),
        ("", ""),
    ],
)
def test_answers_that_say_the_same(stored: str, real: str) -> None:
    assert answers_agree(stored, real, similar)


@pytest.mark.parametrize(
    ("stored", "real"),
    [
        ("Santiago", "Lima"),
        ("42", "43"),
        ("Yes, it is.", "No, it is not."),
        (f"Yes. {LONG}", f"No. {LONG}"),
        (LONG, OTHER.replace("7", "9")),
        (LONG, ""),
        (LONG, "Santiago"),
    ],
)
def test_answers_that_do_not(stored: str, real: str) -> None:
    assert not answers_agree(stored, real, similar)


def test_long_answers_must_be_similar() -> None:
    assert not answers_agree(LONG, OTHER, different)
    assert answers_agree(LONG, LONG, different)
