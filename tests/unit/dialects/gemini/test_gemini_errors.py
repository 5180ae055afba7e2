"""Errors in Google's format are written and read."""

import json

import pytest

from intellirouter.core import errors
from intellirouter.dialects.gemini import ERRORS, UPSTREAM
from intellirouter.testing import FakeClock
from tests.support.dialects.gemini import deployment


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (errors.InvalidRequest("m"), 400, "INVALID_ARGUMENT"),
        (errors.Unauthenticated("m"), 401, "UNAUTHENTICATED"),
        (errors.Forbidden("m"), 403, "PERMISSION_DENIED"),
        (errors.ModelNotFound("m"), 404, "NOT_FOUND"),
        (errors.MethodNotAllowed("m"), 405, "UNIMPLEMENTED"),
        (errors.BodyTooLarge("m"), 413, "INVALID_ARGUMENT"),
        (errors.UpstreamRateLimited("m"), 429, "RESOURCE_EXHAUSTED"),
        (errors.InternalError("m"), 500, "INTERNAL"),
        (errors.UpstreamMalformed("m"), 502, "UNAVAILABLE"),
        (errors.Overloaded("m"), 503, "UNAVAILABLE"),
        (errors.UpstreamTimeout("m"), 504, "DEADLINE_EXCEEDED"),
        (errors.UpstreamRejected("m", status=418), 418, "INVALID_ARGUMENT"),
    ],
)
def test_codes_and_status_names(error: errors.GatewayError, code: int, name: str) -> None:
    body = json.loads(ERRORS.encode(error))["error"]
    assert (ERRORS.status(error), body["code"], body["status"]) == (code, code, name)
    assert body["message"].startswith("m")
    assert body["details"][0]["reason"] == error.code.upper()


def test_details_contain_the_field_and_the_retry_delay() -> None:
    error = errors.UpstreamRateLimited("m", param="contents", retry_after_s=2.5)
    details = json.loads(ERRORS.encode(error))["error"]["details"]
    assert details[1]["fieldViolations"] == [{"field": "contents", "description": "m"}]
    assert details[2] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}


def test_the_message_contains_the_hint() -> None:
    assert json.loads(ERRORS.encode(errors.InvalidRequest("m.", hint="Do x.")))["error"]["message"] == "m. Do x."


@pytest.mark.parametrize("body", [b"{}", b"x", b'{"error": "x"}', b'{"error": {"message": "m", "type": "t"}}', b"[]"])
def test_error_bodies_of_other_vendors_are_not_passed_on(body: bytes) -> None:
    error = errors.UpstreamRejected("Not allowed.")
    error.vendor_body = body
    assert json.loads(ERRORS.encode(error))["error"]["message"] == "Not allowed."


def test_error_events() -> None:
    event = ERRORS.encode_event(errors.UpstreamTimeout("m"))
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (402, b"", errors.UpstreamQuotaExhausted),
        (408, b"", errors.UpstreamTimeout),
        (499, b'{"error": {"code": 499, "status": "CANCELLED"}}', errors.UpstreamUnavailable),
        (503, b"[]", errors.UpstreamUnavailable),
        (500, b'{"error": null, "message": "m"}', errors.UpstreamUnavailable),
        (429, b'{"error": {"details": [{"@type": "x.RetryInfo", "retryDelay": "?"}, 1]}}', errors.UpstreamRateLimited),
        (400, b'{"error": {"details": [{"@type": "x.BadRequest", "fieldViolations": 1}]}}', errors.UpstreamRejected),
        (400, b'{"error": {"status": "FAILED_PRECONDITION", "message": "Please enable billing."}}',
         errors.UpstreamQuotaExhausted),
        (400, b'{"error": {"details": [{"@type": "x.ErrorInfo", "reason": "BILLING_DISABLED"}]}}',
         errors.UpstreamQuotaExhausted),
    ],
)  # fmt: skip
def test_odd_error_bodies(status: int, body: bytes, kind: type[errors.UpstreamError]) -> None:
    error = UPSTREAM.decode_error(status, [], body, deployment=deployment().name, clock=FakeClock())
    assert type(error) is kind
    assert error.message
