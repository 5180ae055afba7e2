"""Every form in which upstreams ask for a pause."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import MAX_RETRY_AFTER_S, read_retry_after_s, whole_seconds

NOW = datetime(2026, 10, 21, 7, 28, 0, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1e6)


def read(**headers: str) -> float | None:
    return read_retry_after_s([(name.replace("_", "-"), value) for name, value in headers.items()], NOW_US)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("20", 20.0),
        (" 20 ", 20.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("1m30s", 90.0),
        ("250ms", 0.25),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        (format_datetime(NOW), 0.0),
        ("1792567740", None),
        ("-5", 0.0),
        ("99999999", MAX_RETRY_AFTER_S),
        ("1e300", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("9" * 500, None),
        ("Wed, 99 Oct 2026 07:28:30 GMT", None),
    ],
)
def test_retry_after(value: str, wait_s: float | None) -> None:
    if value == "1792567740":  # seconds since 1970, which some gateways send
        wait_s = min(MAX_RETRY_AFTER_S, max(0.0, 1792567740 - NOW.timestamp()))
    if value == "1e300":
        wait_s = MAX_RETRY_AFTER_S
    assert read(retry_after=value) == (None if wait_s is None else pytest.approx(wait_s))


@pytest.mark.parametrize(("value", "wait_s"), [("1500", 1.5), ("-1", 0.0), ("1e12", MAX_RETRY_AFTER_S)])
def test_milliseconds_are_preferred(value: str, wait_s: float) -> None:
    assert read(retry_after="9", retry_after_ms=value) == wait_s


def test_invalid_milliseconds_are_ignored() -> None:
    assert read(retry_after="9", retry_after_ms="soon") == 9.0


def test_reset_of_an_exhausted_limit() -> None:
    resets = {"x_ratelimit_reset_requests": "6m0s", "x_ratelimit_reset_tokens": "120ms"}
    assert read(**resets) is None
    assert read(**resets, x_ratelimit_remaining_requests="3", x_ratelimit_remaining_tokens="0") == 0.12
    assert read(**resets, x_ratelimit_remaining_requests="0", x_ratelimit_remaining_tokens="0") == 360.0
    assert read(**resets, x_ratelimit_remaining_requests="0", retry_after="2") == 2.0


def test_reset_of_anthropic() -> None:
    headers = {
        "anthropic_ratelimit_requests_remaining": "9",
        "anthropic_ratelimit_requests_reset": "2026-10-22T07:28:00Z",
        "anthropic_ratelimit_input_tokens_remaining": "0",
        "anthropic_ratelimit_input_tokens_reset": "2026-10-21T07:28:41Z",
    }
    assert read(**headers) == 41.0
    assert read(**{**headers, "anthropic_ratelimit_input_tokens_reset": "later"}) is None


@pytest.mark.parametrize("value", ["7", str(int(NOW.timestamp()) + 7), str((int(NOW.timestamp()) + 7) * 1000)])
def test_reset_as_seconds_or_epoch(value: str) -> None:
    assert read(x_ratelimit_remaining="0", x_ratelimit_reset=value) == pytest.approx(7.0)
    assert read(x_ratelimit_remaining="1", x_ratelimit_reset=value) is None


def test_no_header_means_no_wait() -> None:
    assert read_retry_after_s([("content-type", "x")], NOW_US) is None


@given(st.text(max_size=40))
def test_any_value_is_bounded(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait_s = read_retry_after_s([(name, value)], NOW_US)
        assert wait_s is None or 0.0 <= wait_s <= MAX_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("wait_s", "seconds"),
    [(0.0, 1), (0.2, 1), (1.0, 1), (1.4, 2), (1e300, 86_400), (float("inf"), 86_400)],
)
def test_header_for_clients_is_never_shorter_than_the_wait(wait_s: float, seconds: int) -> None:
    assert whole_seconds(wait_s) == seconds
