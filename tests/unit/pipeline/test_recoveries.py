"""Requests that were answered after a failed attempt are logged, but not each one during an outage."""

import logging

import pytest

from intellirouter.core import errors
from intellirouter.pipeline.recoveries import Recoveries
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Response, World, resolved


def broken() -> Response:
    return Response(b'{"error":{"message":"out of order"}}', status=503)


def test_one_failure_per_deployment_and_interval_is_logged() -> None:
    recoveries = Recoveries()
    assert [recoveries.unlogged("a", 100.0 + second) for second in range(12)] == [0, *[None] * 9, 9, None]
    assert recoveries.unlogged("b", 101.0) == 0
    assert recoveries.unlogged("a", 1000.0) == 1


def test_memory_for_deployments_is_bounded() -> None:
    recoveries = Recoveries()
    for number in range(2_000):
        assert recoveries.unlogged(f"d{number}", 10.0 * number) == 0
    assert len(recoveries._by_deployment) == 256
    assert recoveries.unlogged("d1999", 19_991.0) is None


def test_entries_are_limited_for_all_deployments_together() -> None:
    recoveries = Recoveries()
    logged = [recoveries.unlogged(f"d{number}", 100.0 + number / 10_000) for number in range(10_000)]
    assert logged.count(0) == 10
    assert logged.count(None) == 9_990
    assert len(recoveries._by_deployment) == 256
    assert recoveries.unlogged("d9999", 120.0) == 1


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "intellirouter.pipeline")
    return caplog


@pytest.mark.parametrize(("body", "answer"), [(BODY, (ANSWER,)), (STREAM_BODY, EVENTS)])
async def test_fallback_that_succeeds_names_who_failed_and_who_answered(
    log: pytest.LogCaptureFixture, body: bytes, answer: tuple[bytes, ...]
) -> None:
    world = World(resolved("a", "b"), a=[broken()], b=[Response(*answer)])
    exchange = await world.serve(body)
    assert exchange.error is None
    (entry,) = log.records
    assert entry.levelno == logging.WARNING
    assert entry.getMessage() == f"{exchange.request_id}: b answered (fallback). a failed (HTTP 503): out of order."


async def test_retry_that_succeeds_is_logged_with_a_lower_level(log: pytest.LogCaptureFixture) -> None:
    world = World(resolved("a", retries=1), a=[broken(), Response(ANSWER)])
    exchange = await world.serve()
    (entry,) = log.records
    assert entry.levelno == logging.INFO
    assert entry.getMessage() == f"{exchange.request_id}: a answered (retry). a failed (HTTP 503): out of order."


async def test_outage_is_not_logged_for_each_request(log: pytest.LogCaptureFixture) -> None:
    gone = [errors.UpstreamDisconnected("The upstream left.") for _ in range(3)]
    world = World(resolved("a", "b"), a=gone, b=[Response(ANSWER) for _ in range(4)])
    for _ in range(3):
        await world.serve()
    assert [entry.name for entry in log.records] == [
        "intellirouter.pipeline.attempts",
        "intellirouter.pipeline.breaker_log",
    ]
    assert log.records[1].getMessage() == (
        "a: The circuit has opened after 3 failures in a row (upstream_disconnected). It is tried last for 10 s."
    )
    world.clock.advance(60)
    world.upstream.answers["a"] = [broken()]
    await world.serve()
    assert log.records[-1].getMessage().endswith("2 earlier failures of a were not logged.")


async def test_next_deployment_of_the_pool_is_not_called_a_fallback(log: pytest.LogCaptureFixture) -> None:
    world = World(resolved("a b"), a=[broken()], b=[Response(ANSWER)])
    exchange = await world.serve()
    (entry,) = log.records
    assert entry.levelno == logging.WARNING
    assert "b answered (next deployment). a failed" in entry.getMessage()
    assert exchange.attempts[-1].kind == "next"


async def test_opening_and_closing_of_a_circuit_are_logged_once_each(log: pytest.LogCaptureFixture) -> None:
    world = World(
        resolved("a", "b"), a=[*[broken() for _ in range(4)], Response(ANSWER)], b=[Response(ANSWER) for _ in range(9)]
    )
    for _ in range(7):
        await world.serve()
        world.clock.advance(4)
    world.clock.advance(60)
    await world.serve()
    entries = [entry.getMessage() for entry in log.records if entry.name.endswith("breaker_log")]
    assert entries == [
        "a: The circuit has opened after 3 failures in a row (upstream_unavailable). It is tried last for 10 s.",
        "a: The circuit has closed. It is used as usual again.",
    ]


async def test_replaced_dead_connection_and_first_answer_are_not_logged(log: pytest.LogCaptureFixture) -> None:
    stale = errors.UpstreamDisconnected("The upstream closed the connection.")
    stale.is_stale_connection = True
    world = World(resolved("a"), a=[stale, Response(ANSWER), Response(ANSWER)])
    assert (await world.serve()).error is None
    assert (await world.serve()).error is None
    assert log.records == []
