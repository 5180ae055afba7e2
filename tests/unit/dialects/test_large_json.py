"""Decoding of large documents in pieces gives the same result as decoding them as a whole."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from intellirouter.core import errors
from intellirouter.dialects.wire import large_json


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every document large."""
    for name, value in {
        "LARGE_BYTES": 0,
        "_PIECE_BYTES": 40,
        "_WINDOW_BYTES": 12,
        "_COUNTED_BYTES": 7,
        "_QUICK_VALUES": 0,
    }.items():
        monkeypatch.setattr(large_json, name, value)


def documents() -> Iterator[Any]:
    rng = random.Random(7)

    def value(depth: int) -> Any:
        kind = rng.randrange(9 if depth else 5)
        if kind == 0:
            return rng.choice([True, None, -1.5, 10**6])
        if kind == 1:
            return rng.choice(["", "]}", '"[{,', "\\", 'é\n\\"', "[" * rng.randrange(90), '\\"' * rng.randrange(40)])
        if kind < 5:
            return rng.randrange(1000)
        count = rng.randrange(rng.choice([2, 12, 60]))
        if kind < 7:
            return [value(depth - 1) for _ in range(count)]
        return {rng.choice(["a", 'b"', "{", "ü"]) + str(index): value(depth - 1) for index in range(count)}

    for _ in range(60):
        yield value(4)


@pytest.mark.parametrize("indent", [None, 1])
def test_documents_are_decoded_as_by_msgspec(indent: int | None) -> None:
    for document in documents():
        text = msgspec.json.encode(document)
        if indent:
            text = msgspec.json.format(text, indent=indent)
        assert large_json.decode(text) == document


def test_malformed_documents_are_rejected_as_by_msgspec() -> None:
    rng = random.Random(8)
    for document in documents():
        text = bytearray(msgspec.json.encode(document))
        for _ in range(3):
            at = rng.randrange(len(text))
            damage = rng.choice([b"", b",", b"]", b"}", b"[", b"{", b'"', b"\\", b" ", b":", b"x"])
            broken = bytes(text[:at] + damage + text[at + rng.randrange(2) :])
            assert outcome(large_json.decode, broken) == outcome(msgspec.json.decode, broken), broken


def outcome(decode: Any, text: bytes) -> Any:
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "malformed"


def test_too_many_values_are_rejected_but_not_for_text_that_looks_like_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_json, "_MAX_VALUES", 100)
    monkeypatch.setattr(large_json, "_MAX_OBJECTS", 20)
    text = msgspec.json.encode(["[{," * 200, *range(90)])
    assert large_json.decode(text) == msgspec.json.decode(text)
    for document, what in ((list(range(200)), "100 JSON values"), ([[] for _ in range(30)], "20 JSON objects")):
        with pytest.raises(errors.UpstreamAnswerTooLarge, match=what):
            large_json.decode(msgspec.json.encode(document))


def test_deeply_nested_large_values_are_rejected() -> None:
    with pytest.raises(errors.UpstreamMalformed, match="nested too deep"):
        large_json.decode(b"[" * 30 + b"1," * 200 + b"1" + b"]" * 30)
