"""What a continuation repeats is removed, and nothing else."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import errors
from intellirouter.dialects.adapt.overlap import MIN_REPEATED_CHARS, OverlapTrimmer

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "zebras",
    "watch",
    "him",
]
TEXTS = st.permutations(WORDS).map(" ".join)


def trimmed(sent: str, *pieces: str) -> str:
    trimmer = OverlapTrimmer(sent)
    return "".join([*[trimmer.feed(piece) for piece in pieces], trimmer.end()])


@pytest.mark.parametrize(
    ("sent", "continuation", "rest"),
    [
        ("The quick bro", "wn fox", "wn fox"),
        ("The quick bro", "brown fox", "wn fox"),
        ("The quick brown ", " fox", "fox"),
        ("The quick brown ", "fox", "fox"),
        ("The quick brown\n\n", "\nfox", "fox"),
        ("The quick brown", "quick brown fox", " fox"),
        ("The quick brown", "The quick brown fox", " fox"),
        ("The quick brown", "The quick brown", ""),
        ("The quick brown", "", ""),
        ("The quick brown fox jumps over the", " the dog", " the dog"),
        ("That is very ", "very good", "very good"),
        ("1, 2, 3", ", 4", ", 4"),
        ("1, 1, 1", ", 1, 1", ", 1, 1"),
        ("ha ha ha ha ha", " ha ha ha!", " ha ha ha!"),
        ("0000000000", "000000000000", "000000000000"),
        ("", "anything", "anything"),
        ("I", "I am", "I am"),
        ("你好，世界", "！再见", "！再见"),
        ("你好，世界！今天天气很好，", "世界！今天天气很好，我们走吧", "我们走吧"),
    ],
)
def test_repetition_is_removed(sent: str, continuation: str, rest: str) -> None:
    assert trimmed(sent, continuation) == rest
    assert trimmed(sent, *continuation) == rest


@given(TEXTS, st.data())
def test_text_is_neither_lost_nor_repeated(text: str, data: st.DataObject) -> None:
    """The model continues exactly, or repeats some of the end, or all of the text."""
    at = data.draw(st.integers(1, len(text) - 1))
    repeated = data.draw(st.one_of(st.just(0), st.just(at), st.integers(min(MIN_REPEATED_CHARS, at), at)))
    if 0 < repeated < MIN_REPEATED_CHARS:
        repeated = 0
    continuation = text[at - repeated :]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(continuation)), max_size=6)))
    points = [0, *cuts, len(continuation)]
    pieces = [continuation[start:end] for start, end in pairwise(points)]
    assert text[:at] + trimmed(text[:at], *pieces) == text


@given(st.text(alphabet="ab \n", max_size=40), st.text(alphabet="ab \n", max_size=60), st.data())
def test_result_does_not_depend_on_the_pieces(sent: str, continuation: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(continuation)))

    def outcome(*pieces: str) -> str | type[Exception]:
        try:
            return trimmed(sent, *pieces)
        except errors.UpstreamOutputInvalid as error:
            return type(error)

    assert outcome(continuation) == outcome(continuation[:at], continuation[at:]) == outcome(*continuation)


def test_another_answer_is_an_error() -> None:
    sent = "The answer to your question is that there are three kinds of foxes: red, grey and arctic ones. The red"
    other = "The answer to your question is that there are three kinds of foxes: the red fox, the"
    with pytest.raises(errors.UpstreamOutputInvalid, match="began another answer"):
        trimmed(sent, other)
    with pytest.raises(errors.UpstreamOutputInvalid, match="began another answer"):
        trimmed(sent, sent[:20])


def test_nothing_is_held_back_once_it_is_clear_what_is_new() -> None:
    trimmer = OverlapTrimmer("The quick brown fox")
    assert trimmer.feed(" jumps") == " jumps"
    assert trimmer.feed(" over") == " over"


def test_long_repetition_takes_little_time() -> None:
    sent = "".join(f"{number} " for number in range(20_000))
    assert trimmed(sent, *[sent[at : at + 500] for at in range(0, len(sent), 500)], "end") == "end"
