"""Control characters of other machines reach neither a terminal nor the beginning of a line."""

import json

import pytest

from intellirouter.core import escape_control_characters, escape_control_characters_in_json


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain – 漢字 🎉", "plain – 漢字 🎉"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("\u2028\u202eabc\u2066", "\\u2028\\u202eabc\\u2066"),
        ("a\udcffb", "a\\udcffb"),
    ],
)
def test_control_characters_are_escaped(text: str, escaped: str) -> None:
    assert escape_control_characters(text) == escaped


def test_line_feeds_and_tabs_can_be_kept() -> None:
    assert escape_control_characters("a\n\tb\r\x1b", keeps_lines=True) == "a\n\tb\\r\\x1b"


def test_json_stays_equal() -> None:
    value = {"a": "\x1b\x9b\u2028\u202e\x7f\n", "b": "é"}
    document = escape_control_characters_in_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(document) == value
    assert document.replace("\n", "").isprintable()
