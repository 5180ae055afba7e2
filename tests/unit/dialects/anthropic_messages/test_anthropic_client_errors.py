"""Errors are written for Anthropic clients."""

import json

import pytest

from intellirouter.core import errors
from intellirouter.dialects.anthropic_messages import ERRORS

VENDOR = (
    b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"},"request_id":"req_1"}'
)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.InvalidRequest("m"), 400, "invalid_request_error"),
        (errors.Unauthenticated("m"), 401, "authentication_error"),
        (errors.Forbidden("m"), 403, "permission_error"),
        (errors.ModelNotFound("m"), 404, "not_found_error"),
        (errors.NotFound("m"), 404, "not_found_error"),
        (errors.MethodNotAllowed("m"), 405, "invalid_request_error"),
        (errors.BodyTooLarge("m"), 413, "request_too_large"),
        (errors.UpstreamRateLimited("m"), 429, "rate_limit_error"),
        (errors.UpstreamQuotaExhausted("m"), 402, "billing_error"),
        (errors.UnsupportedFeature("m"), 400, "invalid_request_error"),
        (errors.UpstreamTimeout("m"), 504, "timeout_error"),
        (errors.UpstreamUnavailable("m"), 502, "api_error"),
        (errors.UpstreamUnavailable("m", status=503), 529, "overloaded_error"),
        (errors.Overloaded("m"), 529, "overloaded_error"),
        (errors.ModelLoading("m"), 529, "overloaded_error"),
        (errors.NoEligibleDeployment("m"), 400, "invalid_request_error"),
        (errors.InternalError("m"), 500, "api_error"),
    ],
)
def test_every_error_has_a_status_and_a_type(error: errors.GatewayError, status: int, kind: str) -> None:
    document = json.loads(ERRORS.encode(error))
    assert ERRORS.status(error) == status
    assert document["type"] == "error"
    assert document["error"]["type"] == kind
    assert document["error"]["message"].startswith("m")


def test_the_message_contains_the_hint() -> None:
    message = json.loads(ERRORS.encode(errors.ModelNotFound("No such model.")))["error"]["message"]
    assert message == "No such model. GET /v1/models lists the models that this key may use."


def rejected(vendor_body: bytes, message: str = "Not allowed.") -> errors.UpstreamRejected:
    error = errors.UpstreamRejected(message)
    error.vendor_body = vendor_body
    return error


def test_error_bodies_of_anthropic_are_passed_on_unchanged() -> None:
    """Claude Code reacts to their wording."""
    assert ERRORS.encode(rejected(VENDOR)) == VENDOR


@pytest.mark.parametrize(
    "body", [b'{"error":{"message":"Not allowed.","type":"x"}}', b"<html>", b"\xff", b"[]", b'{"type":"error"}']
)
def test_error_messages_of_other_vendors_are_written_into_anthropics_envelope(body: bytes) -> None:
    document = json.loads(ERRORS.encode(rejected(body)))
    assert document == {"type": "error", "error": {"type": "invalid_request_error", "message": "Not allowed."}}


def test_the_data_of_an_error_event_is_one_line() -> None:
    pretty = json.dumps(json.loads(VENDOR), indent=2).encode()
    event = ERRORS.encode_event(rejected(pretty))
    assert event.startswith(b"event: error\ndata: {")
    assert event.count(b"\n") == 3
    assert json.loads(event.split(b"data: ")[1]) == json.loads(VENDOR)
