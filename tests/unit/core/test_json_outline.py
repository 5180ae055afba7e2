"""Which bodies are large: their structure counts, not the commas and brackets in their texts."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import SMALL_BYTES, is_large, outline_of
from intellirouter.core.json_outline import FEW_CONTAINERS, FEW_VALUES, MEDIUM_BYTES, count

TEXT = b"a" * SMALL_BYTES
JSON_VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab"\\[]{},:é\n', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\,{', max_size=3), inner, max_size=4),
    max_leaves=20,
)


def outline_of_value(value: object) -> bytes:
    if isinstance(value, dict):
        return b"{" + b",".join(map(outline_of_value, value.values())) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(outline_of_value, value)) + b"]"
    return b""


@given(value=JSON_VALUES, is_ascii=st.booleans())
def test_outline_has_the_marks_outside_of_strings(value: object, is_ascii: bool) -> None:
    assert outline_of(json.dumps(value, ensure_ascii=is_ascii).encode()) == outline_of_value(value)


@pytest.mark.parametrize("body", [b'"', b'"\\', b'{"a": "b', b"\\", b"]]]", b'[\\"]', b""])
def test_malformed_bodies_have_an_outline(body: bytes) -> None:
    assert set(outline_of(body)) <= set(b"[]{},")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"," * SMALL_BYTES, False),
        (b"{}" * (SMALL_BYTES // 2), False),
        (TEXT + b"a", False),
        (TEXT + b"[" + b"12345678901234567.89012e-300," * 500 + b"1]", False),
        (TEXT + b"[" + b"12345678901234567.89012e-300," * 1300 + b"1]", False),
        (TEXT + b"[" + b"12345678901234567.89012e-300," * 1301 + b"1]", True),  # slow to decode
        (TEXT + b'["\\n",' + b"12345678901234567.89012e-300," * 1301 + b"1]", True),
        (TEXT + b'["\\n",' + b"1234567890123456789," * 1301 + b"1]", False),
        (TEXT + b"[" + b"1" * 4000 + b",2]", False),
        (TEXT + b"[" + b"1," * 1301 + b"1" * 20_000 + b"]", True),
        (TEXT + b"[" + b"0.00012345678901234567,-1.7976931348623157e+308," * 7_000 + b"1]", False),
        (TEXT + b'["' + b"9" * 50_000 + b'"]', False),
        (TEXT + b"," * FEW_VALUES, False),
        (TEXT + b"," * (FEW_VALUES + 1), True),
        (TEXT + b"[]" * FEW_CONTAINERS, False),
        (TEXT + b"[]" * (FEW_CONTAINERS + 1), True),
        (TEXT + b"{}[]" * (FEW_CONTAINERS // 2), False),
        (TEXT + b"{}[]" * (FEW_CONTAINERS // 2 + 1), True),
        (b"a" * MEDIUM_BYTES, False),
        (b"a" * (MEDIUM_BYTES + 1), True),
        (b'["' + b"{[," * 100_000 + b'"]', False),
        (b'["' + b'\\"{[,' * 7_900 + b'"]', False),
        (b'["' + b'\\"{[,' * 8_100 + b'"]', True),  # too many escapes to examine
        (b'["' + b"[" * 40_000 + b'",' + b'"",' * 8_100 + b"0]", True),  # too many strings to examine
    ],
)
def test_body_is_large_by_size_or_by_structure(body: bytes, expected: bool) -> None:
    assert is_large(body) is expected


@pytest.mark.parametrize("unit", [b"\\", b'"', b'\\"', b"[", b"{,", b'"[",', b"a"])
def test_the_slowest_body_is_examined_quickly(unit: bytes) -> None:
    body = b"[" + unit * (MEDIUM_BYTES // len(unit) - 1)
    started = time.process_time()
    is_large(body)
    assert time.process_time() - started < 0.5  # about 5 ms; anything but linear time takes minutes


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (1, 1), (2, 2), (3, 3), (100, 3)])
def test_counting_stops_above_the_limit(number: int, expected: int) -> None:
    assert count(b"a" + b"," * number, b",", 2) == expected
