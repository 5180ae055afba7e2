import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter import client
from intellirouter.client import retries
from intellirouter.client.api_requests import HEALTH_REQUEST, ApiRequest

REQUEST = ApiRequest(method="GET", path="/")


def run(
    outcomes: list[retries.ApiResponse | retries.ConnectionFailure], max_retries: int = 2
) -> tuple[list[float], object]:
    """Run a call with these outcomes; return the waits and the response or the error."""
    steps = retries.call_steps(REQUEST, max_retries)
    waits: list[float] = []
    remaining = iter(outcomes)
    outcome: retries.Outcome = None
    try:
        while True:
            step = steps.send(outcome)
            if isinstance(step, retries.Sleep):
                waits.append(step.delay_s)
                outcome = None
            else:
                assert step.request is REQUEST
                outcome = next(remaining)
    except StopIteration as ended:
        return waits, ended.value
    except client.IntelliRouterError as error:
        return waits, error


def response(status: int, body: bytes = b"", **headers: str) -> retries.ApiResponse:
    return retries.ApiResponse(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=body)


def failed(*, was_sent: bool) -> retries.ConnectionFailure:
    return retries.ConnectionFailure(client.GatewayUnreachableError("unreachable"), was_sent)


def test_success_ends_the_call() -> None:
    good = response(200)
    assert run([good]) == ([], good)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_temporary_errors_are_retried(status: int) -> None:
    good = response(200)
    waits, end = run([response(status), response(status), good])
    assert end is good
    assert len(waits) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_permanent_errors_are_not_retried(status: int) -> None:
    waits, end = run([response(status)])
    assert waits == []
    assert isinstance(end, client.IntelliRouterError)
    assert end.status == status


@pytest.mark.parametrize("code", ["insufficient_quota", "budget_exceeded"])
def test_exhausted_budget_is_not_retried(code: str) -> None:
    waits, end = run([response(429, b'{"error":{"message":"no","code":"%s"}}' % code.encode())])
    assert waits == []
    assert isinstance(end, client.RateLimitError)


def test_failed_connect_is_retried_but_lost_connection_is_not() -> None:
    assert len(run([failed(was_sent=False)] * 3)[0]) == 2
    assert run([failed(was_sent=True)])[0] == []


def test_retry_after_of_the_gateway_is_respected() -> None:
    assert run([response(429, retry_after="7"), response(200)])[0] == [7.0]


def test_long_retry_after_is_raised_instead() -> None:
    waits, end = run([response(429, retry_after="3600")])
    assert waits == []
    assert isinstance(end, client.RateLimitError)
    assert end.retry_after_s == 3600


def test_accepted_error_status_is_a_result() -> None:
    steps = retries.call_steps(HEALTH_REQUEST, 2)
    next(steps)
    report = response(503, b'{"status":"unhealthy"}')
    with pytest.raises(StopIteration) as ended:
        steps.send(report)
    assert ended.value.value is report


@given(st.integers(0, 12))
def test_retries_are_bounded_and_back_off_up_to_a_maximum(max_retries: int) -> None:
    waits, end = run([response(503)] * (max_retries + 1), max_retries)
    assert isinstance(end, client.UpstreamError)
    assert len(waits) == max_retries
    for attempt, wait_s in enumerate(waits):
        full_s = min(retries.BACKOFF_MAX_S, retries.BACKOFF_BASE_S * 2**attempt)
        assert 0.75 * full_s <= wait_s <= full_s
