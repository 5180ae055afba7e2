"""The record of an exchange: every column, with and without a value."""

from intellirouter.core import EMPTY_CONTEXT, Attempt, Candidate, Decision, ExchangeRecord, Loss, Usage, errors
from intellirouter.governance import Identity
from intellirouter.pipeline import Exchange
from tests.support.dialects.standard import ENDPOINTS
from tests.support.pipeline import STREAM_BODY, deployment

ENDPOINT = ENDPOINTS["openai_chat"]


def build_exchange() -> Exchange:
    return Exchange("req_1", "/v1/chat/completions", ENDPOINT, started_s=100.0, started_us=1_767_225_600_000_000)


def test_new_exchange_has_a_record_without_results() -> None:
    assert build_exchange().to_record(100.0) == ExchangeRecord(
        request_id="req_1",
        started_us=1_767_225_600_000_000,
        endpoint="/v1/chat/completions",
        tenant="-",
        status=200,
        duration_ms=0.0,
    )


def test_record_has_every_result_of_the_exchange() -> None:
    exchange = build_exchange()
    exchange.identity = Identity("acme", "ci")
    exchange.call = ENDPOINT.decode_request(STREAM_BODY, EMPTY_CONTEXT)
    exchange.model = "m"
    exchange.decision = Decision(
        "m", "priority", "first", ("a",), 1, (Candidate("a", "p", "up", "chosen", "first", 0.0),)
    )
    exchange.deployment = deployment("a", provider="p", upstream_model="up")
    exchange.attempts.append(Attempt(deployment="a", kind="first", started_ms=1.0))
    exchange.usage = Usage(input_tokens=3, output_tokens=2)
    exchange.cost_microusd = 26
    exchange.price_version = "2026-01"
    exchange.finish_reason = "stop"
    exchange.first_token_ms = 12.5
    exchange.status = 502
    exchange.error = errors.UpstreamDisconnected("The connection broke.")
    exchange.losses = (Loss("seed"), Loss("n", "emulated", "2 requests"))
    exchange.logged_request = b'{"model":"m"}'
    exchange.logged_response = [b"data: ", b"[DONE]"]
    assert exchange.to_record(101.25) == ExchangeRecord(
        request_id="req_1",
        started_us=1_767_225_600_000_000,
        endpoint="/v1/chat/completions",
        tenant="acme",
        key_name="ci",
        model="m",
        is_stream=True,
        status=502,
        error_code="upstream_disconnected",
        error_message="The connection broke.",
        deployment="a",
        provider="p",
        upstream_model="up",
        decision=exchange.decision,
        attempts=(Attempt(deployment="a", kind="first", started_ms=1.0),),
        usage=Usage(input_tokens=3, output_tokens=2),
        cost_microusd=26,
        price_version="2026-01",
        finish_reason="stop",
        first_token_ms=12.5,
        duration_ms=1250.0,
        dropped=("seed;how=dropped", 'n;how=emulated;as="2 requests"'),
        request_body='{"model":"m"}',
        response_body="data: [DONE]",
    )


def test_record_is_independent_of_later_attempts() -> None:
    exchange = build_exchange()
    record = exchange.to_record(100.0)
    exchange.attempts.append(Attempt(deployment="a", kind="first", started_ms=1.0))
    assert record.attempts == ()


def test_duration_has_the_resolution_of_a_microsecond() -> None:
    assert build_exchange().to_record(100.123456789).duration_ms == 123.456


def test_long_error_message_is_shortened() -> None:
    exchange = build_exchange()
    exchange.error = errors.InvalidRequest("x" * 5000)
    message = exchange.to_record(100.0).error_message
    assert message == "x" * 1000


def test_bodies_that_are_not_valid_utf8_are_recorded_with_replacement_characters() -> None:
    exchange = build_exchange()
    exchange.logged_request = b"\xffrequest"
    exchange.logged_response = [b"caf\xc3", b"\xa9 ", b"\xfe"]
    record = exchange.to_record(100.0)
    assert record.request_body == "�request"
    assert record.response_body == "café �", "characters that are split between two pieces stay whole"


def test_recorded_name_of_an_unknown_model_is_short_and_has_no_control_characters() -> None:
    exchange = build_exchange()
    exchange.unknown_model = "a\x1b[31m\nb"
    assert exchange.to_record(100.0).model == "a\\x1b[31m\\nb"
    exchange.unknown_model = "n" * 100_000
    assert exchange.to_record(100.0).model == "n" * 200
