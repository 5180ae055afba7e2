"""Errors in answers and streams with a successful status have the same consequences as under their own status."""

import json
from typing import Any

import pytest

from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Response, World, resolved

RATE_LIMIT = {"error": {"message": "slow down", "type": "rate_limit_error", "code": 429}}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "40s"}
GEMINI = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down", "details": [RETRY_INFO]}}
CLAIMS: list[tuple[dict[str, Any], int | None]] = [
    (RATE_LIMIT, 429),
    ({"error": {"message": "no", "code": 401}}, 401),
    ({"error": {"message": "no", "code": "invalid_api_key"}}, 401),
    ({"error": {"message": "no", "code": 403}}, 403),
    ({"error": {"message": "no", "code": "insufficient_quota"}}, 402),
    ({"error": {"message": "no", "code": 503}}, None),
    ({"error": {"message": "no", "code": 400}}, None),
]


def event(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


@pytest.mark.parametrize(("document", "status"), CLAIMS)
@pytest.mark.parametrize("place", ["answer", "stream", "after content"])
async def test_the_class_decides_about_the_credential(document: Any, status: int | None, place: str) -> None:
    pieces = [json.dumps(document).encode()] if place == "answer" else [event(document)]
    response = Response(*EVENTS[:2], *pieces) if place == "after content" else Response(*pieces)
    world = World(a=response)
    await world.serve(BODY if place == "answer" else STREAM_BODY)
    assert response.refused_with == status
    assert world.board.of("a").failures == (0 if status is None and document["error"]["code"] == 400 else 1)


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
@pytest.mark.parametrize("before", [(), EVENTS[:2]])
@pytest.mark.parametrize("dialect", ["openai_chat", "gemini"])
async def test_the_wait_that_an_answer_demands_defers_the_deployment(
    body: bytes, before: tuple[bytes, ...], dialect: str
) -> None:
    is_stream = body is STREAM_BODY
    if before and (dialect == "gemini" or not is_stream):
        pytest.skip("these events are of the other dialect, or a complete answer has none")
    document, headers = (RATE_LIMIT, [("retry-after", "40")]) if dialect == "openai_chat" else (GEMINI, [])
    wire = event(document) if is_stream else json.dumps(document).encode()
    response = Response(*before, wire, headers=headers)
    vendor = "gemini" if dialect == "gemini" else "openai"
    world = World(resolved("a", "b", dialects=(dialect,), vendor=vendor), a=response, b=Response(ANSWER))
    await world.serve(body)
    assert 39 <= world.board.of("a").breaker.retry_at_s - world.clock.monotonic_s() <= 41
    assert (response.refused_with, response.refused_for_s) == (429, 40.0)


async def test_retry_info_under_its_own_status_defers_the_credential_too() -> None:
    response = Response(json.dumps(GEMINI).encode(), status=429)
    world = World(resolved("a", dialects=("gemini",), vendor="gemini"), a=response)
    await world.serve()
    assert (response.refused_with, response.refused_for_s) == (429, 40.0)


@pytest.mark.parametrize("body", [ANSWER])
async def test_a_good_answer_refuses_no_credential(body: bytes) -> None:
    response = Response(body, headers=[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "9s")])
    world = World(a=response)
    await world.serve()
    assert response.refused_with is None
    assert world.board.of("a").breaker.retry_at_s <= world.clock.monotonic_s()
