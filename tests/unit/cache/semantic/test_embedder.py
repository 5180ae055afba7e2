"""The part of a text that is embedded."""

from intellirouter.cache.semantic.embedder import without_middle


def test_short_texts_are_embedded_completely() -> None:
    assert without_middle("abc", 3) == "abc"


def test_long_texts_keep_their_beginning_and_their_end() -> None:
    text = "a" * 600 + "b" * 600
    short = without_middle(text)
    assert len(short) == 1_000
    assert short.startswith("a" * 498)
    assert short.endswith("b" * 499)
