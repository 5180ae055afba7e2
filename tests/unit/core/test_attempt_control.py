"""The request headers that limit the attempts of a request."""

import pytest

from intellirouter.core import AttemptControl, attempt_control_of, errors, session_of


def headers(**values: str) -> dict[bytes, bytes]:
    return {f"x-intellirouter-{name.replace('_', '-')}".encode(): value.encode() for name, value in values.items()}


def test_other_headers_demand_nothing() -> None:
    assert attempt_control_of({b"accept": b"*/*", b"x-request-id": b"1"}) is None


@pytest.mark.parametrize(
    ("sent", "control"),
    [
        (headers(retries="0"), AttemptControl(retries=0)),
        (headers(retries="10"), AttemptControl(retries=10)),
        (headers(fallbacks="off"), AttemptControl(has_fallbacks=False)),
        (headers(fallbacks="on"), AttemptControl()),
        (headers(timeout_s="2.5"), AttemptControl(timeout_s=2.5)),
        (headers(timeout_s=" 20 ", retries="1"), AttemptControl(retries=1, timeout_s=20.0)),
        (headers(priority="Batch"), AttemptControl(priority="batch")),
    ],
)
def test_headers_are_read(sent: dict[bytes, bytes], control: AttemptControl) -> None:
    assert attempt_control_of(sent) == control


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("retries", each) for each in ("", "-1", "11", "1.0", "two", "010", "\u00b2")],
        *[("fallbacks", each) for each in ("", "false", "0", "a,b")],
        *[("priority", each) for each in ("", "high", "0", "batch,normal")],
        *[("timeout_s", each) for each in ("", "0", "0.0", "-1", "1e3", "inf", "nan", "10s", "9999999", "5, 6")],
    ],
)
def test_invalid_value_is_refused_with_a_hint(name: str, value: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="has an invalid value") as caught:
        attempt_control_of(headers(**{name: value}))
    full_name = f"x-intellirouter-{name.replace('_', '-')}"
    assert (caught.value.code, caught.value.param) == ("invalid_value", full_name)
    assert caught.value.hint.startswith("Send ")


def test_unknown_header_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.InvalidRequest, match="'x-intellirouter-retry' is not known") as caught:
        attempt_control_of(headers(retry="1"))
    assert caught.value.code == "unknown_header"
    names = ("fallbacks", "max-cost-usd", "priority", "retries", "session", "timeout-s")
    assert ", ".join(f"x-intellirouter-{name}" for name in names) in caught.value.hint


@pytest.mark.parametrize(("value", "session"), [("s-1", "s-1"), (" a b ", "a b"), ("x" * 256, "x" * 256)])
def test_session_is_read_and_limits_no_attempt(value: str, session: str) -> None:
    sent = headers(session=value)
    assert attempt_control_of(sent) is None
    assert session_of(sent) == session
    assert attempt_control_of(sent | headers(retries="1")) == AttemptControl(retries=1)


@pytest.mark.parametrize("value", ["", " ", "x" * 257, "ä", "a\tb"])
def test_invalid_session_is_refused(value: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="'x-intellirouter-session' has an invalid value") as caught:
        attempt_control_of(headers(session=value))
    assert caught.value.param == "x-intellirouter-session"
    assert session_of(headers(session=value)) == ""


def test_request_without_the_header_has_no_session() -> None:
    assert session_of({}) == ""
