"""Keys: the same for requests with the same answer, and never for others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.cache import CacheKeys, canonical_body
from intellirouter.catalog import ResolvedModel
from intellirouter.core import RequestContext
from tests.support.dialects.standard import ENDPOINTS
from tests.support.pipeline import resolved

CHAT = ENDPOINTS["openai_chat"]
MODEL = resolved("a b")
TENANTS = st.sampled_from(["t1", "t2", "t1 ", ""])
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.0, 1.0, 0.5, 1e30, 2**70, -(2**70)]))
TEXTS = st.text(alphabet='ab:"\\\u00e9\U0001f600,{}[] ', max_size=5)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXTS}),
    min_size=1,
    max_size=3,
)
REQUESTS = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": MESSAGES},
    optional={
        "temperature": NUMBERS,
        "seed": NUMBERS,
        "stop": TEXTS,
        "tools": st.lists(VALUES, max_size=2),
        "response_format": VALUES,
        "user": TEXTS,
        "metadata": VALUES,
        "stream": st.booleans(),
    },
)


def key(request: Any, tenant: str = "t1", model: ResolvedModel = MODEL, **context: Any) -> bytes:
    body = request if isinstance(request, bytes) else json.dumps(request, ensure_ascii=False).encode()
    call = structs.replace(
        CHAT.client.decode_request(b'{"model":"m","messages":[{"role":"user","content":"x"}]}', RequestContext()),
        body=body,
        context=RequestContext(**context),
        is_stream=b'"stream": true' in body,
    )
    return CacheKeys(names_requested_model=False).key_of(tenant, CHAT, call, model)


def typed(value: Any) -> Any:
    """Return a value that is equal only to values of the same JSON type: 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {name: typed(each) for name, each in value.items()}
    return [typed(each) for each in value] if isinstance(value, list) else (type(value).__name__, value)


def meaning(request: dict[str, Any]) -> Any:
    return typed({name: value for name, value in request.items() if name not in {"user", "metadata"}})


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(each) for name, each in reversed(value.items())}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@given(first=REQUESTS, second=REQUESTS, tenants=st.tuples(TENANTS, TENANTS))
def test_only_requests_with_the_same_meaning_and_tenant_have_the_same_key(
    first: dict[str, Any], second: dict[str, Any], tenants: tuple[str, str]
) -> None:
    is_same = tenants[0] == tenants[1] and meaning(first) == meaning(second)
    assert (key(first, tenants[0]) == key(second, tenants[1])) == is_same


@given(request=REQUESTS)
def test_order_and_white_space_make_no_difference(request: dict[str, Any]) -> None:
    other = json.dumps(shuffled(request), ensure_ascii=False, indent=3, separators=(" ,", " : ")).encode()
    assert canonical_body(other, "openai_chat") == canonical_body(
        json.dumps(request, ensure_ascii=False).encode(), "openai_chat"
    )


@given(request=REQUESTS, data=st.data())
def test_any_change_of_one_value_changes_the_key(request: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(set(request) - {"user", "metadata"})))
    other = request | {name: data.draw(VALUES)}
    assert (key(request) == key(other)) == (meaning(request) == meaning(other))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b'{"temperature":0,"temperature":1}', b'{"temperature":1}'),
        (b'{"a":{"x":0,"x":1},"b":"\\u003a"}', b'{"a":{"x":1},"b":":"}'),
        (b'{"seed":1}', b'{"seed":1.0}'),
        (b'{"seed":true}', b'{"seed":1}'),
        (b'{"seed":null}', b"{}"),
        (b'{"n":1e400}', b'{"n":1e401}'),
        (b'{"a":"\\ud800"}', b'{"a":"\\ud801"}'),
        (b'{"a":[1,[2]]}', b'{"a":[[1],2]}'),
        (b'{"seed":18446744073709551616}', b'{"seed":18446744073709551617}'),
        (b'{"stop":["a"]}', b'{"stop":"a"}'),
        (b"not JSON", b"not JSON either"),
    ],
)
def test_requests_that_parsers_may_read_differently_have_different_keys(first: bytes, second: bytes) -> None:
    assert key(first) != key(second)


def test_key_contains_everything_outside_the_body() -> None:
    request = {"model": "m"}
    keys = [
        key(request),
        key(request, "t2"),
        key(request, headers=(("anthropic-beta", "x"),)),
        key(request, headers=(("anthropic-beta", "y"),)),
        key(request, query="alt=sse"),
        key(request, model=resolved("a")),
        key(request, model=resolved("b a")),
        key(request, model=resolved("a", "b")),
        key(request, model=resolved("a b", upstream_model="newer")),
    ]
    assert len(set(keys)) == len(keys)


def test_prices_and_limits_of_deployments_do_not_change_keys() -> None:
    assert key({"model": "m"}) == key({"model": "m"}, model=resolved("a b", weight=3.0, max_connections=7))


def test_endpoints_have_different_keys() -> None:
    call = CHAT.client.decode_request(b'{"model":"m","messages":[{"role":"user","content":"x"}]}', RequestContext())
    keys = CacheKeys(names_requested_model=False)
    found = {keys.key_of("t", endpoint, call, MODEL) for endpoint in ENDPOINTS.values()}
    assert len(found) == len(ENDPOINTS)


def test_members_that_the_answer_repeats_are_compared() -> None:
    one, two = b'{"metadata":{"a":"1"}}', b'{"metadata":{"a":"2"}}'
    assert canonical_body(one, "openai_chat") == canonical_body(two, "openai_chat")
    assert canonical_body(one, "openai_responses") != canonical_body(two, "openai_responses")


def test_deep_bodies_are_compared_byte_by_byte() -> None:
    deep = b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert canonical_body(deep, "openai_chat").endswith(deep)


def test_key_of_the_client_depends_on_the_request_only() -> None:
    keys = CacheKeys(names_requested_model=False)
    one, other = (
        CHAT.client.decode_request(
            b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % text, RequestContext()
        )
        for text in (b"x", b"y")
    )
    changed = CacheKeys(names_requested_model=True)
    assert keys.client_key_of("t1", CHAT, one) == changed.client_key_of("t1", CHAT, one)
    assert keys.client_key_of("t1", CHAT, one) != keys.client_key_of("t1", CHAT, other)
    assert keys.client_key_of("t1", CHAT, one) != keys.client_key_of("t2", CHAT, one)


@given(requests=st.lists(st.tuples(REQUESTS, TENANTS, st.sampled_from([True, False])), max_size=6))
def test_what_is_remembered_is_the_key(requests: list[tuple[Any, str, bool]]) -> None:
    keys = CacheKeys(names_requested_model=False)
    for request, tenant, is_stream in requests * 2:
        body = json.dumps(request).encode()
        call = structs.replace(
            CHAT.client.decode_request(b'{"model":"m","messages":[{"role":"user","content":"x"}]}', RequestContext()),
            body=body,
            is_stream=is_stream,
        )
        known = keys.known_key_of(tenant, CHAT, call, MODEL)
        fresh = CacheKeys(names_requested_model=False).key_of(tenant, CHAT, call, MODEL)
        assert known in {None, fresh}
        assert keys.key_of(tenant, CHAT, call, MODEL) == fresh
        assert keys.known_key_of(tenant, CHAT, call, MODEL) == fresh


def test_what_is_remembered_is_bounded() -> None:
    keys = CacheKeys(names_requested_model=False)
    call = CHAT.client.decode_request(b'{"model":"m","messages":[{"role":"user","content":"x"}]}', RequestContext())
    for number in range(2000):
        found = structs.replace(call, body=b'{"n":%d,"x":"%b"}' % (number, b"x" * 8000))
        keys.key_of("t", CHAT, found, MODEL)
    remembered = [
        keys.known_key_of("t", CHAT, structs.replace(call, body=b'{"n":%d,"x":"%b"}' % (number, b"x" * 8000)), MODEL)
        for number in range(2000)
    ]
    assert remembered[-1] is not None
    assert len([each for each in remembered if each]) < 600
    large = structs.replace(call, body=b'{"x":"%b"}' % (b"x" * 20_000))
    keys.key_of("t", CHAT, large, MODEL)
    assert keys.known_key_of("t", CHAT, large, MODEL) is None


def test_zeros() -> None:
    """A negative zero is another value only as a decimal number, where it has a sign."""
    zero, negative, decimal, negative_decimal = (
        key(b'{"model":"m","temperature":%b}' % text) for text in (b"0", b"-0", b"0.0", b"-0.0")
    )
    assert zero == negative
    assert len({zero, decimal, negative_decimal}) == 3


def test_session_of_a_request_makes_no_difference() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert key(request, session="s") == key(request, session="t") == key(request)
