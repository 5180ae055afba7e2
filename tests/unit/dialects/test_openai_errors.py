"""Vendors' error responses become gateway errors, and gateway errors are encoded in OpenAI's envelope."""

import json
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import errors
from intellirouter.dialects import encode_error, encode_error_event
from intellirouter.dialects.openai.upstream_errors import (
    decode_error,
    decode_error_in_200,
    decode_error_in_stream,
    retry_after_s,
)
from intellirouter.testing import FakeClock

Headers = list[tuple[str, str]]
NOW_US = 1_700_000_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT


class WallClock(FakeClock):
    def epoch_us(self) -> int:
        return NOW_US


def decode(status: int, body: bytes = b"", headers: Headers | None = None) -> errors.UpstreamError:
    return decode_error(status, headers or [], body, deployment="main", clock=WallClock())


def envelope(**members: Any) -> bytes:
    return msgspec.json.encode({"error": {"message": "it broke", **members}})


@pytest.mark.parametrize(
    ("status", "kind", "shown", "is_retryable", "is_fallback"),
    [
        (302, errors.UpstreamMalformed, 502, True, True),
        (400, errors.UpstreamRejected, 400, False, False),
        (401, errors.UpstreamAuthFailed, 502, False, True),
        (402, errors.UpstreamQuotaExhausted, 502, False, True),
        (403, errors.UpstreamAuthFailed, 502, False, True),
        (404, errors.UpstreamModelMissing, 404, False, True),
        (408, errors.UpstreamTimeout, 504, True, True),
        (413, errors.UpstreamRejected, 413, False, False),
        (422, errors.UpstreamRejected, 422, False, False),
        (429, errors.UpstreamRateLimited, 429, True, True),
        (500, errors.UpstreamUnavailable, 502, True, True),
        (502, errors.UpstreamUnavailable, 502, True, True),
        (503, errors.UpstreamUnavailable, 503, True, True),
        (504, errors.UpstreamTimeout, 504, True, True),
        (524, errors.UpstreamTimeout, 504, True, True),
        (529, errors.UpstreamUnavailable, 503, True, True),
        (204, errors.UpstreamUnavailable, 502, True, True),
        (999, errors.UpstreamUnavailable, 502, True, True),
    ],
)
def test_the_status_determines_the_class(
    status: int, kind: type[errors.UpstreamError], shown: int, is_retryable: bool, is_fallback: bool
) -> None:
    error = decode(status, envelope())
    assert type(error) is kind
    assert (error.status, error.retryable, error.fallback) == (shown, is_retryable, is_fallback)
    if status != 302:
        assert "it broke" in error.message


def test_a_redirect_names_base_url() -> None:
    assert "base_url" in decode(301).message


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"])
def test_an_account_without_credit_is_not_a_rate_limit(status: int, code: str) -> None:
    error = decode(status, envelope(code=code))
    if status == 403:  # which is about the credential
        assert isinstance(error, errors.UpstreamAuthFailed)
        return
    assert isinstance(error, errors.UpstreamQuotaExhausted)
    assert (error.code, error.status) == (code, 429 if status == 429 else 502)
    assert not error.retryable
    assert error.fallback


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (envelope(), "it broke"),
        (b'{"error":"it broke"}', "it broke"),
        (b'[{"error":{"code":400,"message":"it broke","status":"INVALID_ARGUMENT"}}]', "it broke"),
        (b'{"detail":"it broke"}', "it broke"),
        (b'{"message":"it broke"}', "it broke"),
        (b'{"msg":"it broke"}', "it broke"),
        (b'{"error":null,"message":"it broke"}', "it broke"),
        (b'{"error":{"detail":"it broke"}}', "it broke"),
        (b'{"detail":[{"loc":["body"],"msg":"it broke"}]}', "[{'loc': ['body'], 'msg': 'it broke'}]"),
        (b'"it broke"', "it broke"),
        (b"it broke\n", "it broke"),
        (b"5", "5"),
        (b"<html><h1>502 Bad Gateway</h1></html>", "main rejected the request (HTTP 400)."),
        (b"  <!DOCTYPE html>", "main rejected the request (HTTP 400)."),
        (b"", "main rejected the request (HTTP 400)."),
        (b"[]", "[]"),
        (b"{}", "main rejected the request (HTTP 400)."),
        (b'{"error":{}}', "main rejected the request (HTTP 400)."),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b'{"a":' * 5000, '{"a":' * 60),
    ],
)
def test_the_message_is_read_from_every_format(body: bytes, message: str) -> None:
    assert decode(400, body).message == message


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_the_length_of_a_message_is_limited(status: int) -> None:
    assert len(decode(status, envelope(message="x" * 100_000)).message) < 2100
    assert len(decode(status, msgspec.json.encode("x" * 100_000)).message) < 2100
    assert len(decode(status, b"x" * 100_000).message) < 2100


@pytest.mark.parametrize("status", [404, 500])
def test_a_failure_without_a_message_names_the_deployment(status: int) -> None:
    assert "main" in decode(status, b"<html>").message


def test_code_and_param_of_a_rejection_are_kept() -> None:
    error = decode(400, envelope(code="context_length_exceeded", param="messages"))
    assert (error.code, error.param) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize("code", [400, "400", True, None, 4.5, ["x"]])
def test_an_unspecific_code_does_not_replace_the_gateways_code(code: Any) -> None:
    assert decode(400, envelope(code=code)).code == "upstream_rejected"
    assert decode(429, envelope(code=code)).code == "rate_limit_exceeded"


@pytest.mark.parametrize("param", [3, None, {}])
def test_a_param_that_is_not_a_string_is_dropped(param: Any) -> None:
    assert decode(400, envelope(param=param)).param is None


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([], None),
        ([("retry-after", "7")], 7.0),
        ([("retry-after", "0.5")], 0.5),
        ([("retry-after", "-5")], 0.0),
        ([("retry-after", "nan")], None),
        ([("retry-after", "inf")], None),
        ([("retry-after", "")], None),
        ([("retry-after", "soon")], None),
        ([("retry-after", "7"), ("retry-after-ms", "1500")], 1.5),
        ([("retry-after", "7"), ("retry-after-ms", "soon")], 7.0),
        ([("retry-after-ms", "-1")], 0.0),
        ([("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT")], 60.0),
        ([("retry-after", "Tue, 14 Nov 2023 22:14:20")], 60.0),
        ([("retry-after", "Tue, 14 Nov 2023 23:14:20 +0100")], 60.0),
        ([("retry-after", "Tue, 14 Nov 2022 22:14:20 GMT")], 0.0),
        ([("retry-after", "Tue, 31 Nov 2023 22:14:20 GMT")], None),
        ([("retry-after", f"Tue, 14 Nov {'9' * 30} 22:14:20 GMT")], None),
    ],
)
def test_retry_after_is_read_in_all_formats(headers: Headers, wait_s: float | None) -> None:
    assert retry_after_s(headers, WallClock()) == wait_s
    assert decode(429, headers=headers).retry_after_s == wait_s
    assert decode(503, headers=headers).retry_after_s == wait_s


@given(st.text(), st.text())
def test_any_header_can_be_decoded(value: str, in_ms: str) -> None:
    wait_s = retry_after_s([("retry-after", value), ("retry-after-ms", in_ms)], WallClock())
    assert wait_s is None or wait_s >= 0


@given(
    st.integers(100, 999),
    st.binary(max_size=50) | st.from_regex(rb'\{"error":[\[\{"a-z:,\]\}0-9]{0,20}\}', fullmatch=True),
)
def test_any_body_can_be_decoded(status: int, body: bytes) -> None:
    error = decode(status, body)
    assert msgspec.json.decode(encode_error(error))["error"] is not None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (envelope(code="rate_limit_exceeded"), errors.UpstreamRateLimited),
        (envelope(code="429"), errors.UpstreamRateLimited),
        (envelope(code=429), errors.UpstreamRateLimited),
        (envelope(code=502), errors.UpstreamUnavailable),
        (envelope(type="server_error"), errors.UpstreamUnavailable),
        (b'{"error":"it broke"}', errors.UpstreamUnavailable),
    ],
)
def test_the_class_of_an_error_in_a_stream_depends_on_its_code(data: bytes, kind: type[errors.UpstreamError]) -> None:
    error = decode_error_in_stream(data)
    assert type(error) is kind
    assert "it broke" in error.message
    assert error.code == kind.code


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "other"])
def test_an_error_in_a_stream_always_has_a_message(code: str) -> None:
    assert decode_error_in_stream(envelope(message="", code=code)).message


def test_a_gateway_error_is_encoded_with_its_hint() -> None:
    error = errors.ModelNotFound("No such model.", param="model")
    assert msgspec.json.decode(encode_error(error)) == {
        "error": {
            "message": f"No such model. {error.hint}",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }
    no_hint = errors.InvalidRequest("No.", hint="")
    assert msgspec.json.decode(encode_error(no_hint))["error"]["message"] == "No."


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}',
        b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}',
    ],
)
def test_error_documents_of_other_dialects_are_not_passed_on(body: bytes) -> None:
    document = json.loads(encode_error(decode(400, body)))
    assert set(document) == {"error"}
    assert set(document["error"]) == {"message", "type", "param", "code"}
    assert document["error"]["message"] == "no"


def test_the_vendors_envelope_for_a_rejected_request_is_passed_on() -> None:
    body = b'{ "error": {"message":"no", "type": "t", "param": null, "code": "c", "extra": 1} }'
    assert encode_error(decode(400, body)) == body


def test_missing_members_of_the_vendors_envelope_are_added() -> None:
    body = b'{"error": {"message":"no", "code": "content_filter", "innererror": {"a": 1}}}'
    assert json.loads(encode_error(decode(400, body)))["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": None,
        "code": "content_filter",
        "innererror": {"a": 1},
    }


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"error":"no"}',
        b'{"error":{"message":1}}',
        b'{"detail":1}',
        b"[1]",
        b"[]",
        b"1",
        b"\xff",
        b"[" * 9999,
    ],
)
def test_a_vendors_body_that_is_not_an_envelope_is_not_passed_on(body: bytes) -> None:
    assert msgspec.json.decode(encode_error(decode(400, body)))["error"]["code"] == "upstream_rejected"


def test_a_vendors_body_about_the_gateways_credential_is_not_passed_on() -> None:
    body = envelope(message="Incorrect API key provided: sk-1234")
    assert encode_error(decode(401, body)) != body


def test_an_error_event_is_one_event_for_which_the_sdk_raises() -> None:
    event = encode_error_event(errors.UpstreamDisconnected("cut\n\noff"))
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    decoder = openai._streaming.SSEDecoder()
    [sent] = list(decoder.iter_bytes(iter([event])))
    assert sent.json()["error"]["code"] == "upstream_disconnected"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            '{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}',
            "prompt is too long: 9 tokens > 8 maximum",
        ),
        ("This model's maximum context length is 8 tokens.", "This model's maximum context length is 8 tokens."),
    ],
)
def test_the_error_that_openrouter_wraps_is_read(raw: str, message: str) -> None:
    body = envelope(message="Provider returned error", code=400, metadata={"raw": raw, "provider_name": "P"})
    error = decode(400, body)
    assert error.message == f"Provider returned error: {message}"
    assert error.code == "context_length_exceeded"


@pytest.mark.parametrize("metadata", [None, [], {}, {"raw": None}, {"raw": ""}, {"raw": "it broke"}, {"raw": "<html>"}])
def test_without_a_wrapped_error_the_message_stays(metadata: Any) -> None:
    assert decode(400, envelope(metadata=metadata)).message == "it broke"


@pytest.mark.parametrize(
    ("code", "words", "kind", "shown"),
    [
        (1002, "rate limit", errors.UpstreamRateLimited, "rate_limit_exceeded"),
        (1001, "timeout", errors.UpstreamTimeout, "upstream_timeout"),
        (1004, "login fail", errors.UpstreamAuthFailed, "upstream_authentication_failed"),
        (1008, "insufficient balance", errors.UpstreamQuotaExhausted, "insufficient_quota"),
        (1024, "internal error", errors.UpstreamUnavailable, "upstream_unavailable"),
        (1026, "input new_sensitive", errors.UpstreamRejected, "content_policy_violation"),
        (1027, "output new_sensitive", errors.UpstreamRejected, "content_policy_violation"),
        (2013, "invalid params", errors.UpstreamRejected, "upstream_rejected"),
        (2013, "invalid params, context window exceeds limit", errors.UpstreamRejected, "context_length_exceeded"),
        (2049, "invalid api key", errors.UpstreamAuthFailed, "upstream_authentication_failed"),
        (9999, "who knows", errors.UpstreamUnavailable, "upstream_unavailable"),
        ("1002", "rate limit", errors.UpstreamUnavailable, "upstream_unavailable"),
    ],
)
def test_minimax_reports_its_errors_with_status_200(
    code: Any, words: str, kind: type[errors.UpstreamError], shown: str
) -> None:
    body = msgspec.json.encode({"choices": None, "base_resp": {"status_code": code, "status_msg": words}})
    for error in (decode_error_in_200(body), decode_error_in_stream(body)):
        assert (type(error), error.code) == (kind, shown)
        assert words in error.message


@pytest.mark.parametrize("code", [402, "402", None, "invalid_request_error", [1]])
def test_unspecific_code_is_replaced_by_the_cause(code: Any) -> None:
    body = envelope(message="Content Exists Risk", code=code, type="t", param=None)
    shown = json.loads(encode_error(decode(400, body)))["error"]
    assert (shown["code"], shown["message"]) == ("content_policy_violation", "Content Exists Risk")


@pytest.mark.parametrize("code", ["data_inspection_failed", "1301"])
def test_specific_code_of_the_vendor_is_passed_on(code: str) -> None:
    body = envelope(message="Content Exists Risk", code=code, type="t", param=None)
    assert encode_error(decode(400, body)) == body


def test_unrelated_code_does_not_describe_an_empty_account() -> None:
    body = envelope(message="Insufficient Balance", type="unknown_error", code="invalid_request_error")  # DeepSeek
    assert decode(402, body).code == "insufficient_quota"
