"""Which words are one word with a typing error."""

import pytest

from intellirouter.cache.semantic.typos import is_typo, typos_allowed


@pytest.mark.parametrize(
    ("one", "other"),
    [("theory", "thoery"), ("design", "dseign"), ("recommended", "reccommended"), ("function", "fucntion")],
)
def test_swapped_letters_and_doubled_consonants_are_typing_errors(one: str, other: str) -> None:
    assert is_typo(one, other)
    assert is_typo(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "car"),
        ("cat", "act"),
        ("form", "from"),
        ("trail", "trial"),
        ("sulfate", "sulfite"),
        ("insulin", "inulin"),
        ("desert", "dessert"),
        ("employes", "employees"),
        ("deadlines", "deadliness"),
        ("scraping", "scrapping"),
        ("unclear", "nuclear"),
        ("house", "houses"),
        ("hypertension", "hypotension"),
        ("martina", "martian"),
        ("книга", "кинга"),
        ("abcdef", "badcfe"),
        ("word", "word"),
    ],
)
def test_other_differences_may_be_other_words(one: str, other: str) -> None:
    assert not is_typo(one, other)
    assert not is_typo(other, one)


def test_names_need_more_letters_and_allow_no_doubled_ones() -> None:
    assert is_typo("versailles", "versialles", is_name=True)
    assert not is_typo("simon", "siomn", is_name=True)
    assert is_typo("simon", "siomn")
    assert not is_typo("alessandro", "alesandro", is_name=True)


def test_longer_texts_may_have_more_typing_errors() -> None:
    assert [typos_allowed(words) for words in (3, 11, 12, 24, 500)] == [1, 1, 2, 3, 3]
