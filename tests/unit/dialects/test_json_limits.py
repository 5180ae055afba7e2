"""The limits on the structure of JSON: exact counts, whatever strings contain, and messages that name the setting."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.core import DEFAULT_LIMITS, RequestLimits, errors
from intellirouter.dialects.wire import json_limits
from intellirouter.dialects.wire.json_limits import check_json

UNLIMITED = RequestLimits(
    json_depth=100,
    json_values=10**9,
    json_objects=10**9,
    messages=10**9,
    content_parts=10**9,
    tools=10**9,
    inputs=10**9,
)
TEXTS = st.text(alphabet='ab"\\[]{},:é\n', max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(TEXTS, inner, min_size=1, max_size=4),
    max_leaves=20,
)


def counts(value: Any) -> tuple[int, int, int]:
    """Return the number of values and of objects and arrays, and the depth."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return 0, 0, 0
    found = [counts(each) for each in inner]
    return (
        len(inner) + sum(each[0] for each in found),
        1 + sum(each[1] for each in found),
        1 + max((each[2] for each in found), default=0),
    )


def refusal(body: bytes, **limits: int) -> errors.InvalidRequest | None:
    try:
        check_json(body, structs.replace(UNLIMITED, **limits))
    except errors.InvalidRequest as error:
        return error
    return None


@given(value=st.lists(VALUES, min_size=1), slice_bytes=st.integers(1, 20), is_ascii=st.booleans())
def test_limits_are_exact(value: list[Any], slice_bytes: int, is_ascii: bool) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii).encode()
    values, objects, depth = counts(value)
    before = json_limits._SLICE_BYTES
    json_limits._SLICE_BYTES = slice_bytes  # type: ignore[misc]
    try:
        exact = {"json_values": values, "json_objects": objects, "json_depth": depth}
        assert refusal(body, **exact) is None
        for name, limit in exact.items():
            assert refusal(body, **{name: limit - 1}) is not None, name
    finally:
        json_limits._SLICE_BYTES = before  # type: ignore[misc]


ITEM = {"role": "user", "content": [{"type": "text"}, {"type": "tool_result", "content": [{}, {}]}]}
COUNTED: dict[str, tuple[dict[str, Any], str, int]] = {
    "messages": ({"messages": [ITEM] * 3}, "messages", 3),
    "contents": ({"contents": [{"parts": [{}]}] * 3}, "messages", 3),
    "items": ({"input": [ITEM] * 3}, "messages", 3),
    "parts": ({"messages": [ITEM] * 3}, "content_parts", 12),
    "tool calls": ({"messages": [{"tool_calls": [{}, {}]}]}, "content_parts", 2),
    "images": ({"messages": [{"images": ["a", "b"]}]}, "content_parts", 2),
    "tools": ({"tools": [{}, {}]}, "tools", 2),
    "functions": ({"functions": [{}, {}]}, "tools", 2),
    "declarations": ({"tools": [{"functionDeclarations": [{}, {}]}]}, "tools", 3),
    "texts": ({"input": ["a", "b"]}, "inputs", 2),
    "token lists": ({"input": [[1], [2]]}, "inputs", 2),
    "tokens": ({"input": [1, 2, 3]}, "inputs", 0),
    "prompts": ({"prompt": ["a", "b"]}, "inputs", 2),
    "documents": ({"documents": ["a", {}]}, "inputs", 2),
    "requests": ({"requests": [{}, {}]}, "inputs", 2),
}


@pytest.mark.parametrize("name", COUNTED)
def test_lists_are_counted(name: str) -> None:
    document, limit, count = COUNTED[name]
    body = json.dumps(document).encode()
    assert refusal(body, **{limit: count}) is None
    if count:
        error = refusal(body, **{limit: count - 1})
        assert error is not None
        assert error.code == "limit_exceeded"
        assert f"more than {count - 1} " in error.message
        assert f"server.max_{limit}" in error.hint


LEGITIMATE: dict[str, Any] = {
    "10,000 messages and a million tokens": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "some text, " * 35}]}] * 10_000
    },
    "300,000 token ids": {"input": [100_000] * 300_000},
    "1000 tools": {
        "tools": [
            {"type": "function", "function": {"name": f"f{i}", "parameters": {"properties": {"a": {"type": "string"}}}}}
            for i in range(1000)
        ]
    },
    "20 MB of base64": {"messages": [{"content": [{"image_url": {"url": "A" * 20_000_000}}]}]},
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_large_legitimate_requests_are_accepted(name: str) -> None:
    check_json(json.dumps(LEGITIMATE[name]).encode(), DEFAULT_LIMITS)


REFUSED: dict[str, tuple[bytes, str]] = {
    "members": (b"{" + b",".join(b'"%d":1' % i for i in range(10_001)) + b"}", "more than 10000 members"),
    "escapes": (b'"' + b"\\n" * 2_000_001 + b'"', "escape sequences"),
    "white space": (b"[" + b" " * (16 * 1024 * 1024) + b"]", "outside of strings"),
    "digits": (b"[" + (b"1" * 1000 + b",") * 101 + b"1]", "long numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_slow_bodies_are_refused(name: str) -> None:
    body, reason = REFUSED[name]
    error = refusal(body)
    assert error is not None
    assert reason in error.message
    assert error.hint


@pytest.mark.parametrize("body", [b"", b"]", b'"', b"[}", b'{"messages":1}', b'"\\', b"\xff", b'[1,2,"' + b"\\" * 9])
def test_malformed_bodies_are_left_to_the_decoder(body: bytes) -> None:
    assert refusal(body) is None
