"""Complete answers and streams: what the client receives, when the exchange is settled, and what is recorded."""

import asyncio
import json

import pytest

from intellirouter.core import Price, Secret, Usage, errors
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Response, World, resolved

DOWN = errors.UpstreamUnavailable("down")
BROKEN = errors.UpstreamDisconnected("the connection broke")


async def test_complete_answer_is_recorded_with_usage_and_cost() -> None:
    price = Price(input=2_000_000, output=10_000_000, version="test")
    world = World(resolved("a", price=price), a=Response(ANSWER))
    await world.serve()
    record = world.record
    assert (record.usage, record.cost_microusd, record.price_version) == (
        Usage(input_tokens=3, output_tokens=2), 26, "test",
    )  # fmt: skip
    assert (record.finish_reason, record.deployment, record.provider, record.upstream_model) == ("stop", "a", "p", "up")
    assert [(each.outcome, each.status) for each in record.attempts] == [("ok", 200)]


async def test_missing_usage_of_an_answer_is_estimated_and_marked() -> None:
    world = World(a=Response(b'{"choices":[{"message":{"role":"assistant","content":"hi!"},"finish_reason":"stop"}]}'))
    await world.serve()
    assert world.record.usage == Usage(input_tokens=15, output_tokens=1, is_estimated=True)


async def test_times_of_an_answer_are_recorded() -> None:
    world = World(a=Response(ANSWER))
    running = asyncio.ensure_future(world.serve())
    async with asyncio.timeout(5):
        while not world.upstream.sent:
            await asyncio.sleep(0)
    world.clock.advance(0.25)
    await running
    assert [each.first_byte_ms for each in world.record.attempts] == [250.0]
    assert (world.record.first_token_ms, world.record.duration_ms) == (None, 250.0)


ANTHROPIC_REQUEST = b'{"model":"m","max_tokens":5,"top_k":3,"messages":[{"role":"user","content":"hello"}]}'


async def test_losses_of_request_and_answer_are_recorded() -> None:
    world = World(a=Response(ANSWER.replace(b'"stop"', b'"abort"')))
    await world.serve(ANTHROPIC_REQUEST, endpoint="anthropic_messages")
    assert world.record.dropped == ("top_k;how=dropped", 'stop_reason;how=converted;as="cancelled"')
    assert world.reply.content_type == b"application/json"
    assert b'"type":"message"' in world.reply.body, "the answer is in the client's dialect"
    assert b'"model":"up"' in world.reply.body, "the upstream's answer names no model, so it is the deployment's"


async def test_losses_of_a_streamed_request_are_recorded() -> None:
    world = World(a=Response(*EVENTS))
    exchange = await world.serve(
        ANTHROPIC_REQUEST.replace(b'"top_k"', b'"stream":true,"top_k"'), endpoint="anthropic_messages"
    )
    assert world.record.dropped == ("top_k;how=dropped",)
    assert world.reply.content_type == b"text/event-stream; charset=utf-8"
    assert world.reply.request_id == exchange.request_id
    assert world.reply.body.startswith(b"event: message_start\n")


async def test_answer_of_the_gateway_itself_needs_no_upstream() -> None:
    """This deployment cannot count tokens, so the gateway estimates them."""
    world = World()
    await world.serve(BODY, endpoint="anthropic_count_tokens")
    assert (world.reply.body, world.reply.content_type) == (b'{"input_tokens":6}', b"application/json")
    assert world.upstream.sent == []
    assert world.record.usage == Usage()
    assert world.record.dropped == ('input_tokens;how=emulated;as="estimated from the size of the request"',)
    assert [(each.outcome, each.status, each.first_byte_ms) for each in world.record.attempts] == [("ok", None, None)]


async def test_error_status_is_read_and_the_response_aborted() -> None:
    response = Response(b'{"error":{"message":"nope","type":"x","code":"y"}}', status=400)
    world = World(a=response)
    await world.serve()
    assert isinstance(world.reply.error, errors.UpstreamRejected)
    assert (world.record.status, response.outcome) == (400, "aborted")
    assert world.board.of("a").failures == 0, "the client's error never counts against the deployment"


CAUSED_BY_THE_REQUEST = {
    "policy": (403, "Content violates usage guidelines."),
    "file": (403, "You do not have permission to access the File abc or it may not exist."),
    "too-large": (429, "Request too large for m on tokens per min (TPM): Limit 30000, Requested 45012."),
    "item": (404, "Item with id 'rs_1' not found."),
    "afford": (402, "Requires more credits, or fewer max_tokens. You requested 65536, but can only afford 4000."),
    "invalid": (422, "wrong"),
    "large": (413, "too large"),
}


@pytest.mark.parametrize("case", CAUSED_BY_THE_REQUEST)
async def test_error_caused_by_the_request_counts_against_nobody(case: str) -> None:
    status, message = CAUSED_BY_THE_REQUEST[case]
    body = json.dumps({"error": {"message": message}}).encode()
    responses = [Response(body, status=status, headers=[("retry-after", "60")]) for _ in range(3)]
    world = World(resolved("a", retries=2), a=responses)
    for _ in responses:
        await world.serve()
    health = world.board.of("a")
    assert (health.failures, health.in_flight) == (0, 0)
    assert health.is_available(world.clock.monotonic_s())
    assert all(each.spares_credential for each in responses)
    assert all(len(record.attempts) == 1 for record in world.journal.records), "it is not retried"


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_error_about_the_credential_leaves_its_cooldown(status: int) -> None:
    response = Response(b'{"error":{"message":"no"}}', status=status)
    world = World(a=response)
    await world.serve()
    assert not response.spares_credential
    assert world.board.of("a").failures == 1


@pytest.mark.parametrize(
    ("message", "status"),
    [("Incorrect API key provided.", 401), ("Your credit balance is too low.", 402), ("Invalid value.", None)],
)
async def test_refused_credential_under_another_status_is_reported(message: str, status: int | None) -> None:
    response = Response(json.dumps({"error": {"message": message}}).encode(), status=400)
    world = World(a=response)
    await world.serve()
    assert response.refused_with == status
    assert response.spares_credential == (status is None)
    assert world.record.status == (400 if status is None else 502)


async def test_request_that_is_larger_than_a_rate_limit_is_served_by_another_deployment() -> None:
    body = json.dumps({"error": {"message": CAUSED_BY_THE_REQUEST["too-large"][1]}}).encode()
    world = World(resolved("a b", retries=2), a=Response(body, status=429), b=Response(ANSWER))
    await world.serve()
    assert (world.upstream.order, world.record.status) == ("a b", 200)


async def test_error_with_a_truncated_body_is_classified_by_status() -> None:
    response = Response(status=503, error=BROKEN)
    world = World(a=response)
    await world.serve()
    assert isinstance(world.reply.error, errors.UpstreamUnavailable)
    assert world.reply.error.message == "a failed (HTTP 503)."
    assert response.outcome == "aborted"


async def test_date_in_retry_after_is_read_by_the_clock_of_the_gateway() -> None:
    headers = [("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT")]
    world = World(a=Response(b'{"error":{"message":"busy"}}', status=429, headers=headers))
    await world.serve()
    assert isinstance(world.reply.error, errors.UpstreamRateLimited)
    assert world.reply.error.message == "a is rate limited: busy."
    assert world.reply.error.retry_after_s == 30.0


async def test_every_attempt_sends_the_original_body() -> None:
    world = World(resolved("a b"), a=DOWN, b=Response(ANSWER))
    await world.serve()
    assert world.upstream.sent[0][1] == world.upstream.sent[1][1]
    assert world.upstream.sent[0][1] == BODY.replace(b'"m"', b'"up"')


async def test_stream_is_settled_before_its_last_bytes() -> None:
    world = World(a=Response(*EVENTS))
    await world.serve(STREAM_BODY)
    assert world.events[0] == "begin"
    assert world.events[-2:] == ["settle", "end"]
    assert world.reply.body.endswith(b"data: [DONE]\n\n")
    record = world.record
    assert (record.is_stream, record.usage, record.finish_reason) == (
        True,
        Usage(input_tokens=3, output_tokens=2),
        "stop",
    )
    assert record.first_token_ms is not None


async def test_stream_that_breaks_before_its_first_content_leads_to_a_fallback() -> None:
    """Nothing is sent to the client before the first content, so another deployment can serve the request."""
    early = Response(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n', error=BROKEN)
    world = World(resolved("a b"), a=early, b=Response(*EVENTS))
    await world.serve(STREAM_BODY)
    assert world.outcomes == ["upstream_disconnected", "ok"]
    assert world.events[0] == "begin"
    assert (early.outcome, world.record.status, world.record.error_code) == ("aborted", 200, None)
    assert world.board.of("a").failures == 1


async def test_stream_that_breaks_after_its_first_content_ends_with_one_error_event() -> None:
    broken = Response(EVENTS[0], error=BROKEN)
    world = World(resolved("a b"), a=broken, b=Response(*EVENTS))
    await world.serve(STREAM_BODY)
    assert world.upstream.order == "a", "after content has been sent, there is no other attempt"
    assert world.events == ["begin", "write", "settle", "fail:upstream_disconnected"]
    assert world.reply.error_event is not None
    assert b"upstream_disconnected" in world.reply.error_event
    record = world.record
    assert (record.status, record.error_code) == (200, "upstream_disconnected")
    assert record.usage is not None
    assert record.usage.is_estimated, "the upstream charges for the content"
    assert record.usage.output_tokens == 1, "one token per event"
    assert (world.board.of("a").failures, world.board.of("a").in_flight) == (1, 0)
    assert broken.outcome == "aborted"


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        ((*EVENTS[:3], b"data: [DONE]\n\n"), Usage(input_tokens=19, output_tokens=2, is_estimated=True)),
        ((EVENTS[2], b"data: [DONE]\n\n"), Usage(input_tokens=19, output_tokens=0, is_estimated=True)),
        (EVENTS[2:], Usage(input_tokens=3, output_tokens=2)),
    ],
)
async def test_usage_of_a_stream_is_reported_or_estimated(events: tuple[bytes, ...], usage: Usage) -> None:
    """A stream without content is charged as well, for its input."""
    world = World(a=Response(*events))
    await world.serve(STREAM_BODY)
    assert (world.reply.error, world.record.usage) == (None, usage)


async def test_output_of_a_broken_stream_is_estimated_if_only_its_beginning_was_reported() -> None:
    """Some upstreams report their usage with the first event, which hardly contains any output."""
    started = b'data: {"choices":[{"delta":{"content":"h"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
    world = World(a=Response(started, *[EVENTS[1]] * 5, error=BROKEN))
    await world.serve(STREAM_BODY)
    assert world.record.usage == Usage(input_tokens=3, output_tokens=6, is_estimated=True)


@pytest.mark.parametrize("events", [(b"data: [DONE]\n\n",), EVENTS[3:]])
async def test_a_stream_without_an_answer_is_a_failure(events: tuple[bytes, ...]) -> None:
    world = World(a=Response(*events))
    await world.serve(STREAM_BODY)
    assert isinstance(world.reply.error, errors.UpstreamMalformed)
    assert world.board.of("a").failures == 1


async def test_error_event_of_the_upstream_is_passed_on_and_counts_as_a_failure() -> None:
    error = b'data: {"error":{"message":"overloaded","code":503}}\n\n'
    world = World(a=Response(EVENTS[0], error))
    await world.serve(STREAM_BODY)
    assert world.events[-2:] == ["settle", "end"]
    assert b"overloaded" in world.reply.body
    assert world.record.error_code is not None
    assert world.outcomes == [world.record.error_code]
    assert world.board.of("a").failures == 1


SCHEMA_BODY = STREAM_BODY[:-1] + b',"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}}}'


async def test_stream_without_the_requested_format_is_recorded_as_malformed() -> None:
    response = Response(*EVENTS)
    world = World(a=response)
    await world.serve(SCHEMA_BODY)
    assert b"upstream_malformed" in world.reply.body
    assert b"[DONE]" not in world.reply.body
    assert b'"finish_reason":"stop"' not in world.reply.body
    assert (world.record.status, world.record.error_code) == (200, "upstream_malformed")
    assert world.record.usage == Usage(input_tokens=3, output_tokens=2), "the vendor has worked"
    assert world.outcomes == ["upstream_malformed"]
    assert world.board.of("a").failures == 0, "a prompt can cause it"


@pytest.mark.parametrize("body", [STREAM_BODY, SCHEMA_BODY])
async def test_a_model_that_repeats_itself_is_stopped(body: bytes) -> None:
    again = b'data: {"choices":[{"index":0,"delta":{"content":"again and "},"finish_reason":null}]}\n\n'
    endless = Response(EVENTS[0], *[again * 10] * 1_000)
    world = World(a=endless)
    await world.serve(body)
    assert endless.outcome == "aborted"
    assert world.record.error_code == "upstream_malformed"
    assert len(world.reply.body) < len(again) * 5_000


async def test_canceled_stream_aborts_the_upstream_and_records_usage() -> None:
    gate = asyncio.Event()
    endless = Response(EVENTS[0], EVENTS[1], gate=gate)
    world = World(a=endless)
    running = asyncio.ensure_future(world.serve(STREAM_BODY))
    async with asyncio.timeout(5):
        while "write" not in world.events:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert endless.outcome == "aborted"
    assert world.record.usage is not None
    assert world.record.usage.is_estimated
    assert world.outcomes == ["overloaded"]
    assert (world.board.of("a").failures, world.board.of("a").in_flight) == (0, 0)


async def test_request_without_an_eligible_deployment_is_rejected_with_reasons() -> None:
    world = World(resolved("a", operations=frozenset({"embeddings"})))
    await world.serve()
    assert isinstance(world.reply.error, errors.NoEligibleDeployment)
    assert "does not support chat" in world.reply.error.message
    assert (world.record.status, world.record.model, world.record.attempts) == (400, "m", ())


@pytest.mark.parametrize("body", [b"", b"{", b'{"model":1}', b"[" * 1000, b"\xff"])
async def test_malformed_request_is_rejected_and_recorded(body: bytes) -> None:
    world = World()
    await world.serve(body)
    assert isinstance(world.reply.error, errors.InvalidRequest)
    assert (world.record.status, world.record.model) == (400, None)
    assert world.upstream.sent == []


async def test_content_at_the_end_of_the_stream_is_not_lost() -> None:
    world = World(a=Response(b"".join(EVENTS).removesuffix(b"\n\n")))
    await world.serve(STREAM_BODY)
    assert world.reply.error is None
    assert world.reply.body.count(b'"content"') == 2


KEY = "sk-live-0123456789abcdefghij"


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("shown", [KEY, "sk-live-***********ghij"])
async def test_credential_that_an_upstream_repeats_reaches_neither_client_nor_record(
    status: int, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {shown}.", "code": "x"}}).encode()
    world = World(resolved("a", credentials=(Secret(KEY),)), a=Response(body, status=status))
    with caplog.at_level("DEBUG"):
        await world.serve()
    assert world.reply.error is not None
    texts = [str(world.record), caplog.text, world.reply.error.full_message]
    assert ["Incorrect API key provided: ***." in text for text in texts] == [True] * 3
    texts.append(str(getattr(world.reply.error, "vendor_body", b"")))
    assert not any("ghij" in text for text in texts)


async def test_credential_in_a_relayed_error_event_is_masked() -> None:
    event = json.dumps({"error": {"message": f"bad key {KEY}", "code": "x"}}).encode()
    model = resolved("a", credentials=(Secret(KEY),))
    world = World(model, a=Response(EVENTS[0], b"data: " + event + b"\n\n"))
    await world.serve(STREAM_BODY)
    sent = world.reply.body + (world.reply.error_event or b"")
    assert KEY.encode() not in sent
    assert b"bad key ***" in sent
    assert KEY not in str(world.record)
