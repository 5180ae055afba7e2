"""Requests that find no deployment available wait for the first one that recovers, within their limits."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import errors
from tests.support.pipeline import ANSWER, Response, World, resolved
from tests.unit.pipeline.test_attempts import DOWN


class WaitingWorld(World):
    """Its clock advances instead of the attempts sleeping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: ResolvedModel, **answers: Any) -> None:
        super().__init__(model, **answers)
        self.waits: list[float] = []
        real = asyncio.sleep

        async def sleep(wait_s: float) -> None:
            if wait_s:
                self.waits.append(wait_s)
                self.clock.advance(wait_s)
            await real(0)

        monkeypatch.setattr("intellirouter.pipeline.attempts.asyncio.sleep", sleep)

    def open(self, name: str, times: int = 3) -> None:
        now_s, health = self.clock.monotonic_s(), self.board.of(name)
        for _ in range(times):
            health.fail(health.begin(now_s), "upstream_unavailable", now_s)

    async def attempts_of_next(self) -> list[tuple[str, str, float]]:
        await self.serve()
        return [(each.deployment, each.kind, each.waited_ms) for each in self.journal.records[-1].attempts]


def patient(pool: str, fallbacks: str = "", *, max_wait_s: float = 10.0, **members: Any) -> ResolvedModel:
    """Return a model whose requests wait up to ten seconds."""
    model = resolved(pool, fallbacks, **members)
    return structs.replace(model, pool_policy=structs.replace(model.pool_policy, max_wait_s=max_wait_s))


def down() -> errors.GatewayError:
    return errors.UpstreamUnavailable("down")


async def test_request_waits_for_the_recovery_when_nothing_else_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"a": [down(), down(), Response(ANSWER)], "b": [down(), down()]}
    world = WaitingWorld(monkeypatch, patient("a b", retries=1), **answers)
    world.open("a")
    world.clock.advance(1.0)
    world.open("b")
    world.clock.advance(4.0)
    *others, last = await world.attempts_of_next()
    assert others == [("a", "first", 0.0), ("b", "next", 0.0), ("a", "retry", 0.0), ("b", "retry", 0.0)]
    assert last[:2] == ("a", "retry")
    assert 5_000 <= last[2] <= 5_500
    assert world.journal.records[-1].status == 200
    assert world.board.of("a").breaker.state_at(world.clock.monotonic_s()) == "closed"


async def test_request_without_retries_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    world = WaitingWorld(monkeypatch, patient("a"), a=[down(), Response(ANSWER), Response(ANSWER)])
    world.open("a")
    assert await world.attempts_of_next() == [("a", "first", 0.0)]
    world.board.of("a").defer(5.0, world.clock.monotonic_s())
    assert await world.attempts_of_next() == [("a", "first", 0.0)]
    assert world.waits == []


@pytest.mark.parametrize(
    ("limits", "timeout_s"), [({"max_wait_s": 4.0}, 600.0), ({"max_wait_s": 0.0}, 600.0), ({}, 9.0)]
)
async def test_recovery_beyond_a_limit_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], timeout_s: float
) -> None:
    model = patient("a", retries=1, timeout_s=timeout_s, **limits)
    world = WaitingWorld(monkeypatch, model, a=[DOWN])
    world.open("a")
    assert await world.attempts_of_next() == [("a", "first", 0.0), ("a", "retry", 0.0)]
    assert world.waits == []


@pytest.mark.parametrize(("left_s", "kinds"), [(4.9, ["first", "retry", "retry"]), (5.1, ["first", "retry"])])
async def test_requests_wait_up_to_five_seconds_by_default(
    monkeypatch: pytest.MonkeyPatch, left_s: float, kinds: list[str]
) -> None:
    answers = [down(), down(), Response(ANSWER)]
    world = WaitingWorld(monkeypatch, resolved("a", retries=1), a=answers)
    world.open("a")
    world.clock.advance(10.0 - left_s)
    assert [kind for _, kind, _ in await world.attempts_of_next()] == kinds


async def test_request_waits_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = WaitingWorld(monkeypatch, patient("a", retries=1), a=[down() for _ in range(9)])
    world.open("a")
    assert [kind for _, kind, _ in await world.attempts_of_next()] == ["first", "retry", "retry"]
    assert len(world.waits) == 1


async def test_request_during_which_the_circuit_opens_fails_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    world = WaitingWorld(monkeypatch, resolved("a", retries=2), a=[down() for _ in range(9)])
    assert [kind for _, kind, _ in await world.attempts_of_next()] == ["first", "retry", "retry"]
    assert world.waits == []


async def test_rejected_request_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    rejected = Response(b'{"error":{"message":"wrong"}}', status=400)
    world = WaitingWorld(monkeypatch, patient("a"), a=[rejected])
    world.open("a")
    assert await world.attempts_of_next() == [("a", "first", 0.0)]
    assert world.board.of("a").breaker.state_at(world.clock.monotonic_s()) == "open"


async def test_first_attempt_waits_if_all_have_asked_not_to_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    world = WaitingWorld(monkeypatch, patient("a b", "f", retries=1), b=[Response(ANSWER)])
    now_s = world.clock.monotonic_s()
    for name, wait_s in (("a", 8.0), ("b", 3.0), ("f", 60.0)):
        world.board.of(name).defer(wait_s, now_s)
    ((name, kind, waited_ms),) = await world.attempts_of_next()
    assert (name, kind) == ("b", "first")
    assert 3_000 <= waited_ms <= 3_300
    assert world.journal.records[-1].attempts[0].started_ms == pytest.approx(waited_ms, abs=1)


async def test_wait_before_the_first_attempt_and_wait_for_the_recovery_share_one_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for first_s, kinds in ((3.0, ["first", "retry"]), (6.0, ["first"])):
        limited = errors.UpstreamRateLimited("slow down", retry_after_s=5.0)
        world = WaitingWorld(monkeypatch, patient("a", retries=1), a=[limited, Response(ANSWER)])
        world.board.of("a").defer(first_s, world.clock.monotonic_s())
        assert [kind for _, kind, _ in await world.attempts_of_next()] == kinds
        assert sum(world.waits) <= 10.0


@pytest.mark.parametrize(("wait_s", "other_s"), [(11.0, 11.0), (3.0, 0.0)])
async def test_first_attempt_does_not_wait_too_long_or_if_one_may_be_called(
    monkeypatch: pytest.MonkeyPatch, wait_s: float, other_s: float
) -> None:
    world = WaitingWorld(monkeypatch, patient("a b", retries=1), a=[Response(ANSWER)], b=[Response(ANSWER)])
    now_s = world.clock.monotonic_s()
    world.board.of("a").defer(wait_s, now_s)
    world.board.of("b").defer(other_s, now_s)
    ((name, _, waited_ms),) = await world.attempts_of_next()
    assert (name, waited_ms) == ("a" if other_s else "b", 0.0)


@pytest.mark.parametrize("strategy", ["priority", "round_robin", "weighted", "least_busy", "power_of_two", "latency"])
async def test_deployment_that_is_down_costs_few_attempts_and_no_request(
    monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """A request a second, for two minutes: three failures open the circuit, and then there are probes only."""
    model = structs.replace(resolved("a b c"), strategy=strategy)
    answers = {name: [Response(ANSWER) for _ in range(240)] for name in "bc"}
    world = WaitingWorld(monkeypatch, model, a=[down() for _ in range(240)], **answers)
    for _ in range(120):
        await world.serve()
        world.clock.advance(1.0)
    assert {record.status for record in world.journal.records} == {200}
    wasted = sum(each.deployment == "a" for record in world.journal.records for each in record.attempts)
    breaker = world.board.of("a").breaker
    assert wasted <= 9
    assert wasted == (3 + breaker.probes if breaker.openings else wasted)
    assert breaker.openings <= 1
