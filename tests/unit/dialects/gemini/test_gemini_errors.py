"""Errors in Google's words."""

import json

import pytest

from intellirouter.core import errors
from intellirouter.dialects.gemini import ERRORS, UPSTREAM
from intellirouter.testing import FakeClock
from tests.support.dialects.gemini import deployment


@pytest.mark.parametrize(
    ("error", "code", "word"),
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
def test_statuses(error: errors.GatewayError, code: int, word: str) -> None:
    body = json.loads(ERRORS.encode(error))["error"]
    assert (ERRORS.status(error), body["code"], body["status"]) == (code, code, word)
    assert body["message"].startswith("m")
    assert body["details"][0]["reason"] == error.code.upper()


def test_details_say_where_and_how_long() -> None:
    error = errors.UpstreamRateLimited("m", param="contents", retry_after_s=2.5)
    details = json.loads(ERRORS.encode(error))["error"]["details"]
    assert details[1]["fieldViolations"] == [{"field": "contents", "description": "m"}]
    assert details[2] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}


def test_hints_are_told() -> None:
    assert json.loads(ERRORS.encode(errors.InvalidRequest("m.", hint="Do x.")))["error"]["message"] == "m. Do x."


@pytest.mark.parametrize("body", [b"{}", b"x", b'{"error": "x"}', b'{"error": {"message": "m", "type": "t"}}', b"[]"])
def test_other_vendors_envelopes_are_not_passed_on(body: bytes) -> None:
    error = errors.UpstreamRejected("told")
    error.vendor_body = body
    assert json.loads(ERRORS.encode(error))["error"]["message"] == "told"


def test_events() -> None:
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
    found = UPSTREAM.decode_error(status, [], body, deployment=deployment().name, clock=FakeClock())
    assert type(found) is kind
    assert found.message
