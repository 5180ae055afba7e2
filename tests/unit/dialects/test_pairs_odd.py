"""Whatever is sent, nothing is raised but our own errors, and what one side takes the other side can write.

Golden requests and answers with one member of an odd type, anywhere: a request is refused, or written for every
upstream; an answer is refused as malformed, or told to every client.
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

ODD = (
    None,
    True,
    -1,
    1e400,
    2**70,
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


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of every member and item."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        yield (*path, name)
        yield from places(inner, (*path, name))


def with_odd(body: Any, path: tuple[Any, ...], odd: Any) -> Any:
    changed = copy.deepcopy(body)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = odd
    return changed


def tell_everybody(response: Response) -> None:
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


def decoded(upstream: str, body: Any) -> Response | None:
    try:
        response: Response = upstream_of(upstream).decode(json.dumps(body).encode(), BY_UPSTREAM[upstream])
    except errors.UpstreamError:
        return None
    return response


@pytest.mark.parametrize("upstream", UPSTREAMS)
@given(data=st.data())
def test_an_odd_member_breaks_no_client(upstream: str, data: st.DataObject) -> None:
    _, case = data.draw(st.sampled_from(load(upstream, "responses")))
    path = data.draw(st.sampled_from(list(places(case["body"]))))
    response = decoded(upstream, with_odd(case["body"], path, data.draw(st.sampled_from(ODD))))
    if response is not None:
        tell_everybody(response)


@pytest.mark.parametrize("tokens", TOKENS)
def test_odd_log_probabilities_break_no_client(tokens: Any) -> None:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "a"},
        "logprobs": {"content": tokens},
        "finish_reason": "stop",
    }
    response = decoded("openai_chat", {"id": "x", "choices": [choice]})
    if response is not None:
        tell_everybody(response)


@pytest.mark.parametrize("client", CLIENTS)
@given(data=st.data())
def test_an_odd_member_breaks_no_upstream(client: str, data: st.DataObject) -> None:
    _, case = data.draw(st.sampled_from(request_cases(client)))
    path = data.draw(st.sampled_from(list(places(case["body"]))))
    body = with_odd(case["body"], path, data.draw(st.sampled_from(ODD)))
    for target in {**BY_UPSTREAM, **OTHERS}.values():
        try:
            call = call_of(client, {**case, "body": body})
            send(call, client, target)
        except errors.InvalidRequest:
            return
