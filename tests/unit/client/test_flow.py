import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter import client
from intellirouter.client import calls, flow

REQUEST = calls.Outgoing(method="GET", path="/")


def run(outcomes: list[flow.Answer | flow.Failed], max_retries: int = 2) -> tuple[list[float], object]:
    """Play `outcomes` against the flow; return the waits and the answer or the error."""
    steps = flow.exchange(REQUEST, max_retries)
    waits: list[float] = []
    remaining = iter(outcomes)
    outcome: flow.Outcome = None
    try:
        while True:
            step = steps.send(outcome)
            if isinstance(step, flow.Sleep):
                waits.append(step.delay_s)
                outcome = None
            else:
                assert step.request is REQUEST
                outcome = next(remaining)
    except StopIteration as ended:
        return waits, ended.value
    except client.IntelliRouterError as error:
        return waits, error


def answer(status: int, body: bytes = b"", **headers: str) -> flow.Answer:
    return flow.Answer(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=body)


def failed(*, was_sent: bool) -> flow.Failed:
    return flow.Failed(client.GatewayUnreachableError("nobody"), was_sent)


def test_a_good_answer_ends_it() -> None:
    good = answer(200)
    assert run([good]) == ([], good)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_passing_troubles_are_tried_again(status: int) -> None:
    good = answer(200)
    waits, end = run([answer(status), answer(status), good])
    assert end is good
    assert len(waits) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_lasting_troubles_are_not(status: int) -> None:
    waits, end = run([answer(status)])
    assert waits == []
    assert isinstance(end, client.IntelliRouterError)
    assert end.status == status


@pytest.mark.parametrize("code", ["insufficient_quota", "budget_exceeded"])
def test_an_empty_purse_is_not_asked_again(code: str) -> None:
    waits, end = run([answer(429, b'{"error":{"message":"no","code":"%s"}}' % code.encode())])
    assert waits == []
    assert isinstance(end, client.RateLimitError)


def test_a_connection_that_was_never_made_is_tried_again_and_one_that_broke_is_not() -> None:
    assert len(run([failed(was_sent=False)] * 3)[0]) == 2
    assert run([failed(was_sent=True)])[0] == []


def test_the_gateway_says_how_long_to_wait() -> None:
    assert run([answer(429, retry_after="7"), answer(200)])[0] == [7.0]


def test_too_long_a_wait_is_left_to_the_caller() -> None:
    waits, end = run([answer(429, retry_after="3600")])
    assert waits == []
    assert isinstance(end, client.RateLimitError)
    assert end.retry_after_s == 3600


def test_an_error_status_can_be_an_answer() -> None:
    steps = flow.exchange(calls.HEALTH, 2)
    next(steps)
    report = answer(503, b'{"status":"unhealthy"}')
    with pytest.raises(StopIteration) as ended:
        steps.send(report)
    assert ended.value.value is report


@given(st.integers(0, 12))
def test_tries_are_bounded_and_waits_grow_up_to_a_ceiling(max_retries: int) -> None:
    waits, end = run([answer(503)] * (max_retries + 1), max_retries)
    assert isinstance(end, client.UpstreamError)
    assert len(waits) == max_retries
    for attempt, wait_s in enumerate(waits):
        full_s = min(flow.BACKOFF_MAX_S, flow.BACKOFF_BASE_S * 2**attempt)
        assert 0.75 * full_s <= wait_s <= full_s
