import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from intellirouter import client
from intellirouter.client.errors import error_from_event, error_from_response, parse_retry_after_s


def envelope(**fields: object) -> bytes:
    return json.dumps({"error": {"message": "no", **fields}}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, client.InvalidRequestError),
        (401, client.AuthenticationError),
        (403, client.AuthenticationError),
        (404, client.NotFoundError),
        (413, client.InvalidRequestError),
        (429, client.RateLimitError),
        (500, client.UpstreamError),
        (502, client.UpstreamError),
        (504, client.UpstreamError),
    ],
)
def test_status_selects_the_error_class(status: int, kind: type[client.IntelliRouterError]) -> None:
    assert type(error_from_response(status, {}, envelope())) is kind


def test_error_fields_are_available() -> None:
    body = envelope(code="model_not_found", type="invalid_request_error", param="model", hint="List them.")
    error = error_from_response(404, {"x-request-id": "req_1"}, body)
    assert str(error) == error.message == "no"
    assert (error.status, error.code, error.type, error.param) == (
        404,
        "model_not_found",
        "invalid_request_error",
        "model",
    )
    assert (error.hint, error.request_id, error.retry_after_s) == ("List them.", "req_1", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"error": null}', b"\xff\xfe", b"<html>Bad\n gateway</html>"])
def test_body_without_an_error_object_still_gives_a_message(body: bytes) -> None:
    error = error_from_response(502, {}, body)
    assert error.message
    assert "\n" not in error.message
    assert error.code is None


def test_long_body_is_truncated() -> None:
    assert len(error_from_response(502, {}, b"x" * 5000).message) < 400


def test_error_string_is_the_message() -> None:
    assert error_from_response(400, {}, b'{"error": "bad thing"}').message == "bad thing"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_parsed(headers: dict[str, str], expected: float | None) -> None:
    assert parse_retry_after_s(headers) == expected


def test_retry_after_date_becomes_seconds() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)
    waited_s = parse_retry_after_s({"retry-after": later})
    assert waited_s is not None
    assert 20 < waited_s <= 30
    assert parse_retry_after_s({"retry-after": past}) == 0.0


def test_stream_error_is_classified_by_its_type() -> None:
    upstream = error_from_event({"message": "cut", "code": "upstream_disconnected"}, "req_1")
    limited = error_from_event({"message": "slow down", "type": "rate_limit_error"}, None)
    assert isinstance(upstream, client.UpstreamError)
    assert (upstream.status, upstream.code, upstream.request_id) == (200, "upstream_disconnected", "req_1")
    assert isinstance(limited, client.RateLimitError)
    assert error_from_event("boom", None).message == "boom"
