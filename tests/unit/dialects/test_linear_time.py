"""The codecs of requests take linear time: twice as many parts need at most about twice as many calls.

Calls of C functions count too, but not their duration. Work inside them that grows faster than its input is found by
`tests/e2e/test_stalls.py`.
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from intellirouter.core import RequestContext, errors
from tests.support.dialects.pairs import BY_UPSTREAM
from tests.support.dialects.standard import ENDPOINTS
from tests.support.slow.requests import MODEL, SLOW_REQUESTS, SlowRequest

N = 120
MAX_RATIO = 2.3
MAX_BASE_CALLS = 400
"""Calls that do not depend on the number of parts."""


def serve(request: SlowRequest, body: bytes, upstream: str) -> None:
    """Do what the gateway does with a request before it sends it."""
    endpoint, deployment = ENDPOINTS[request.endpoint], BY_UPSTREAM[upstream]
    try:
        call = endpoint.decode_request(body, RequestContext(model=MODEL))
        route = endpoint.route(call, deployment)
        if route.is_local:
            route.decode_response(b"", call, deployment)
        else:
            route.media_urls(call, deployment)
            route.encode_request(call, deployment)
    except errors.GatewayError:
        return  # not every upstream can serve every request


def calls_in(work: Callable[[], None]) -> int:
    count = 0

    def profile(_frame: Any, _event: str, _argument: Any) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("request_", SLOW_REQUESTS, ids=lambda each: each.name)
def test_number_of_calls_is_linear(request_: SlowRequest) -> None:
    small, large = request_.build(N), request_.build(2 * N)
    for upstream in BY_UPSTREAM:
        serve(request_, small, upstream)  # fills the caches
        few = calls_in(lambda upstream=upstream: serve(request_, small, upstream))  # type: ignore[misc]
        many = calls_in(lambda upstream=upstream: serve(request_, large, upstream))  # type: ignore[misc]
        assert many <= MAX_RATIO * few + MAX_BASE_CALLS, upstream
