"""Long strings: encoded, validated, searched and decoded in slices, with the same result as at once."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import OffLoop
from intellirouter.dialects.wire import data_urls
from intellirouter.dialects.wire.data_urls import read_data_url
from intellirouter.dialects.wire.json_encode import encode_document
from intellirouter.dialects.wire.request_validation import check_text
from intellirouter.dialects.wire.search import find, is_blank

LONG = 'é"\\\n\u2028😀' * 100_000


@pytest.mark.parametrize(
    "document",
    [
        LONG,
        {"a": LONG, "b": ["x", LONG, {"c": LONG}], "d": 1},
        {"a": "short"},
        {"a": LONG, "b": "a \x00 of the client"},
        {"a": "x" * 300_000},
    ],
)
def test_documents_are_the_same_off_the_event_loop(document: Any) -> None:
    async def encoded() -> bytes:
        off_loop = OffLoop()
        try:
            return await off_loop.run(1, lambda: encode_document(document))
        finally:
            off_loop.close()

    body = asyncio.run(encoded())
    assert body == encode_document(document)
    assert json.loads(body) == document


@given(
    body=st.binary(max_size=200) | st.text(alphabet="ab", max_size=200).map(str.encode),
    part=st.text(alphabet="ab", min_size=1, max_size=5).map(str.encode),
    start=st.integers(0, 20),
    slice_bytes=st.integers(1, 7),
)
def test_search_in_slices_finds_the_same(body: bytes, part: bytes, start: int, slice_bytes: int) -> None:
    assert find(body, part, start, slice_bytes) == body.find(part, start)


def test_large_text_is_validated_in_slices() -> None:
    check_text(LONG.encode() * 3)
    with pytest.raises(UnicodeDecodeError):
        check_text(LONG.encode() * 3 + b"\xc3")
    with pytest.raises(UnicodeDecodeError):
        check_text(b"\xff" + LONG.encode() * 3)


@given(data=st.binary(max_size=60), slice_chars=st.integers(3, 9))
def test_percent_encoded_content_is_decoded_in_slices(data: bytes, slice_chars: int) -> None:
    before, data_urls._SLICE_CHARS = data_urls._SLICE_CHARS, slice_chars  # type: ignore[misc]
    try:
        found = read_data_url(f"data:text/plain;charset=utf-8,{quote(data)}")
    finally:
        data_urls._SLICE_CHARS = before  # type: ignore[misc]
    assert found == ("text/plain", base64.b64encode(data).decode())


def test_base64_content_is_unchanged() -> None:
    assert read_data_url("data:image/png;x=1;base64,iVBO") == ("image/png", "iVBO")
    assert read_data_url("data:,a%20b") == ("", base64.b64encode(b"a b").decode())
    assert read_data_url("data:image/png;base64") is None


def test_blank_text() -> None:
    assert [text for text in ("", " ", "\n\u2003", " a", "a ") if is_blank(text)] == ["", " ", "\n\u2003"]
