"""Invalid input raises only gateway errors, and what one codec accepts, all others can encode.

Golden requests and responses get a member of an unexpected type. A request is rejected, or encoded for every upstream;
a response is rejected as malformed, or encoded for every client.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import LossReport, errors
from intellirouter.dialects.ir import Response, events_of
from tests.support.dialects.golden import load
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    OTHERS,
    UPSTREAMS,
    call_of,
    encode_answer,
    encode_stream,
    request_cases,
    send,
    upstream_of,
)
from tests.support.dialects.standard import ENDPOINTS

UNEXPECTED = (
    None,
    True,
    -1,
    1e400,
    2**70,
    10**4000,
    "",
    "x",
    [],
    {},
    [None],
    [[]],
    [5],
    [{}],
    {"token": 5},
    {"type": "text"},
    [{"token": "a"}],
)
TOKENS = (
    5,
    "x",
    [5],
    [{"token": 5}],
    [{"token": "a", "top_logprobs": 5}],
    [{"token": "a", "top_logprobs": [5]}],
    [{"token": "a", "logprob": "x", "bytes": "q", "top_logprobs": [{"token": 7}]}],
    {"a": 1},
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the paths of all members and elements."""
    members = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, inner in members:
        yield (*path, name)
        yield from places(inner, (*path, name))


def with_value(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


def encode_for_all_clients(response: Response) -> None:
    events = list(events_of(response))
    for client in CLIENTS:
        encode_answer(response, client)
        encode_stream(events, client)
    legacy = ENDPOINTS["openai_completions"].client
    call = legacy.decode_request(b'{"model":"m","prompt":"p"}')
    legacy.encode(response, call, LossReport())
    encoder = legacy.stream(call, LossReport())
    encoder.encode(events[:-1])
    encoder.end()


def json_bytes(body: Any) -> bytes:
    return json.dumps(body).replace("Infinity", "1e999").encode()  # a valid JSON number


def decoded(upstream: str, body: Any) -> Response | None:
    try:
        response: Response = upstream_of(upstream).decode(json_bytes(body), BY_UPSTREAM[upstream])
    except errors.UpstreamError:
        return None
    return response


@pytest.mark.parametrize("upstream", UPSTREAMS)
@given(data=st.data())
def test_unexpected_types_in_responses_are_rejected_or_encoded(upstream: str, data: st.DataObject) -> None:
    _, case = data.draw(st.sampled_from(load(upstream, "responses")))
    path = data.draw(st.sampled_from(list(places(case["body"]))))
    response = decoded(upstream, with_value(case["body"], path, data.draw(st.sampled_from(UNEXPECTED))))
    if response is not None:
        encode_for_all_clients(response)


@pytest.mark.parametrize("tokens", TOKENS)
def test_unexpected_log_probabilities_are_rejected_or_encoded(tokens: Any) -> None:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "a"},
        "logprobs": {"content": tokens},
        "finish_reason": "stop",
    }
    response = decoded("openai_chat", {"id": "x", "choices": [choice]})
    if response is not None:
        encode_for_all_clients(response)


@pytest.mark.parametrize("client", CLIENTS)
@given(data=st.data())
def test_unexpected_types_in_requests_are_rejected_or_encoded(client: str, data: st.DataObject) -> None:
    _, case = data.draw(st.sampled_from(request_cases(client)))
    path = data.draw(st.sampled_from(list(places(case["body"]))))
    body = with_value(case["body"], path, data.draw(st.sampled_from(UNEXPECTED)))
    for target in {**BY_UPSTREAM, **OTHERS}.values():
        try:
            call = call_of(client, {**case, "body": body})
            send(call, client, target)
        except errors.InvalidRequest:
            return
