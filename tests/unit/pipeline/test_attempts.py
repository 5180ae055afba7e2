"""The attempt loop: the order of attempts, what is recorded, and what counts against a deployment's health."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import EMPTY_CONTEXT, Attempt, Decision, Deployment, Secret, Timeouts, errors
from intellirouter.pipeline import Attempts, Decided, Exchange
from intellirouter.pipeline.attempt_errors import combined_error
from intellirouter.pipeline.attempt_outcomes import AttemptContext
from intellirouter.resilience import Backoff
from tests.support.dialects.standard import ENDPOINTS
from tests.support.pipeline import ANSWER, BODY, Response, Source, World, resolved

DOWN = errors.UpstreamUnavailable("down")
WRONG = errors.UpstreamRejected("wrong")


class Rotator:
    """Implements `core.CredentialRotator`: another credential is usable this many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.asked: list[tuple[str, str, int | None]] = []

    def can_rotate(self, deployment: Deployment, error: errors.GatewayError, status: int | None) -> bool:
        self.asked.append((deployment.name, error.code, status))
        if not isinstance(error, errors.UpstreamAuthFailed) or not self.left:
            return False
        self.left -= 1
        return True


class Script:
    """Opens attempts with scripted results: for each deployment, the value or the error of each attempt."""

    def __init__(self, world: World, **outcomes: Any) -> None:
        self.world = world
        self.outcomes = {name: list(each) if isinstance(each, list) else [each] for name, each in outcomes.items()}
        self.in_flight: list[int] = []
        self.before: Callable[[], None] = lambda: None

    async def __call__(self, context: AttemptContext) -> str:
        self.in_flight.append(context.health.in_flight)
        self.before()
        await asyncio.sleep(0)
        outcome = self.outcomes[context.deployment.name].pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return str(outcome)


def begin(world: World, model: ResolvedModel) -> tuple[Exchange, Decided]:
    exchange = world.spine.open("/test", ENDPOINTS["openai_chat"])
    call = exchange.endpoint.decode_request(BODY, EMPTY_CONTEXT)
    order = tuple(model.by_name)
    return exchange, Decided(call, model, Decision("m", "priority", "first", order, len(model.pool), ()))


async def open_with(
    world: World, model: ResolvedModel, **outcomes: Any
) -> tuple[Exchange, tuple[AttemptContext, str], Script]:
    exchange, request = begin(world, model)
    script = Script(world, **outcomes)
    opened = await world.attempts.open(exchange, request, script)
    return exchange, opened, script


def kinds(exchange: Exchange) -> list[tuple[str, str, str]]:
    return [(each.deployment, each.kind, each.outcome) for each in exchange.attempts]


async def test_first_attempt_that_opens_is_returned_pending() -> None:
    world = World()
    exchange, opened, script = await open_with(world, resolved("a b"), a="yes")
    assert (opened[1], opened[0].deployment.name, exchange.deployment) == (
        "yes",
        "a",
        opened[0].deployment,
    )
    assert kinds(exchange) == [("a", "first", "pending")]
    assert exchange.attempts[0].waited_ms == 0.0
    assert script.in_flight == [1], "the request is in flight while the attempt is being opened"
    assert world.board.of("a").in_flight == 1, "and until the attempt ends"


async def test_fallbacks_are_tried_after_the_pool_and_recorded() -> None:
    world = World()
    exchange, opened, _ = await open_with(world, resolved("a b", "f"), a=DOWN, b=DOWN, f="yes")
    assert opened[0].deployment.name == "f"
    assert kinds(exchange) == [
        ("a", "first", "upstream_unavailable"),
        ("b", "next", "upstream_unavailable"),
        ("f", "fallback", "pending"),
    ]
    assert [each.message for each in exchange.attempts] == ["down", "down", None]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_attempts_of_all_kinds_are_limited(limit: int) -> None:
    world = World()
    model = structs.replace(resolved("a b", "f", retries=10), max_attempts=limit)
    exchange, request = begin(world, model)
    script = Script(world, a=[DOWN] * 11, b=[DOWN] * 11, f=DOWN)
    with pytest.raises(errors.UpstreamUnavailable):
        await world.attempts.open(exchange, request, script)
    assert len(exchange.attempts) == limit


async def test_retry_uses_the_same_deployment() -> None:
    world = World()
    exchange, opened, _ = await open_with(world, resolved("a", retries=2), a=[DOWN, DOWN, "yes"])
    assert opened[1] == "yes"
    assert [kind for _, kind, _ in kinds(exchange)] == ["first", "retry", "retry"]


async def test_wait_before_a_retry_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        world.clock.advance(seconds)

    limited = errors.UpstreamRateLimited("slow down", retry_after_s=30.0)
    exchange, request = begin(world, resolved("a", retries=1))
    attempts = Attempts(board=world.board, backoff=Backoff(0.25, 30.0), clock=world.clock, rng=world.attempts.rng)
    script = Script(world, a=[limited, "yes"])
    real_sleep = asyncio.sleep
    monkeypatch.setattr("intellirouter.pipeline.attempts.asyncio.sleep", lambda s: sleep(s) if s else real_sleep(0))
    await attempts.open(exchange, request, script)
    assert waits == [30.0], "the upstream's Retry-After is longer than the backoff"
    assert exchange.attempts[1].waited_ms == 30_000.0
    assert exchange.attempts[1].started_ms == 30_000.0


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (errors.UpstreamUnavailable("x"), True),
        (errors.UpstreamTimeout("x"), True),
        (errors.UpstreamRateLimited("x"), True),
        (errors.UpstreamAuthFailed("x"), True),
        (errors.ModelLoading("x"), True),
        (errors.Overloaded("x"), True),
        (errors.UpstreamRejected("x"), False),
        (errors.UnsupportedFeature("x"), False),
        (errors.InvalidRequest("x"), False),
        (errors.InternalError("x"), False),
    ],
)
async def test_errors_of_client_or_gateway_do_not_count_against_the_deployment(
    error: errors.GatewayError, counts: bool
) -> None:
    world = World()
    with pytest.raises(errors.GatewayError):
        await open_with(world, resolved("a"), a=error)
    health = world.board.of("a")
    assert (health.failures, health.in_flight, health.attempts) == (int(counts), 0, 1)
    assert health.success_rate == (0.8 if counts else 1.0)
    assert health.last_error == (error.code if counts else None)
    assert health.last_failure_s == (world.clock.monotonic_s() if counts else 0.0)


async def test_deployment_stays_first_after_any_number_of_client_errors() -> None:
    """Rejected requests and disconnects neither make a deployment look failing nor reduce its success rate."""
    rejections = [Response(b'{"error":{"message":"wrong"}}', status=status) for status in (400, 413, 422)]
    hanging = Response(gate=asyncio.Event())
    world = World(resolved("a b"), a=[*rejections, hanging, Response(ANSWER)])
    for _ in rejections:
        await world.serve()
    opened: list[Exchange] = []
    running = asyncio.ensure_future(world.entry.serve(Source(), world.reply, opened.append))
    async with asyncio.timeout(5):
        while len(world.upstream.answers["a"]) > 1:
            await asyncio.sleep(0)
    opened[0].is_client_disconnected = True
    running.cancel()
    await asyncio.wait([running])
    health = world.board.of("a")
    assert (health.attempts, health.failures, health.failures_in_a_row, health.in_flight) == (4, 0, 0, 0)
    assert health.success_rate == 1.0
    await world.serve()
    assert world.upstream.order == "a a a a a"
    assert [record.status for record in world.journal.records] == [400, 413, 422, 499, 200]


async def test_retries_and_fallbacks_are_limited_by_their_budgets() -> None:
    """Each pool member is tried once and retried twice; each fallback is tried once."""
    world = World(resolved("a b", "f g", retries=2), a=[DOWN] * 9, b=[DOWN] * 9, f=[DOWN] * 9, g=[DOWN] * 9)
    await world.serve()
    assert len(world.upstream.sent) == 2 * 3 + 2
    assert world.upstream.order.split()[:2] == ["a", "b"]
    assert world.upstream.order.endswith("f g")
    assert [each.kind for each in world.record.attempts] == [
        *("first", "next", "retry", "retry", "retry", "retry", "fallback", "fallback"),
    ]
    assert isinstance(world.reply.error, errors.UpstreamUnavailable)
    assert world.record.deployment == "g", "the record names the last deployment"
    assert [world.board.of(name).failures for name in "abfg"] == [3, 3, 1, 1]


async def test_failed_attempt_records_when_it_ended() -> None:
    world = World()
    exchange, request = begin(world, resolved("a"))
    script = Script(world, a=DOWN)
    script.before = lambda: world.clock.advance(1_000.0)
    with pytest.raises(errors.UpstreamUnavailable):
        await world.attempts.open(exchange, request, script)
    assert exchange.attempts[0].ended_ms == 1_000_000.0


@pytest.mark.parametrize("error", [errors.InvalidRequest("x"), errors.BodyTooLarge("x"), errors.InternalError("x")])
async def test_error_of_the_request_is_not_tried_on_another_deployment(error: errors.GatewayError) -> None:
    world = World()
    exchange, request = begin(world, resolved("a b", retries=3))
    with pytest.raises(type(error)):
        await world.attempts.open(exchange, request, Script(world, a=error))
    assert kinds(exchange) == [("a", "first", error.code)]


async def test_unsupported_feature_leads_to_a_fallback_but_rejection_does_not() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b"))
    with pytest.raises(errors.UpstreamRejected):
        await world.attempts.open(exchange, request, Script(world, a=WRONG))
    assert kinds(exchange) == [("a", "first", "upstream_rejected")]
    exchange, opened, _ = await open_with(world, resolved("a b"), a=errors.UnsupportedFeature("no"), b="yes")
    assert opened[0].deployment.name == "b"


@pytest.mark.parametrize(("is_client_disconnected", "outcome"), [(True, "client_disconnected"), (False, "overloaded")])
async def test_canceled_attempt_does_not_count_against_the_deployment(
    is_client_disconnected: bool, outcome: str
) -> None:
    world = World()
    exchange, request = begin(world, resolved("a b"))
    exchange.is_client_disconnected = is_client_disconnected
    with pytest.raises(asyncio.CancelledError):
        await world.attempts.open(exchange, request, Script(world, a=asyncio.CancelledError()))
    assert kinds(exchange) == [("a", "first", outcome)]
    assert exchange.attempts[0].ended_ms is not None
    assert (world.board.of("a").in_flight, world.board.of("a").failures) == (0, 0)


async def test_gateway_bug_is_recorded_as_internal_error() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b"))
    with pytest.raises(ZeroDivisionError):
        await world.attempts.open(exchange, request, Script(world, a=ZeroDivisionError()))
    assert kinds(exchange) == [("a", "first", "internal_error")]
    assert (world.board.of("a").in_flight, world.board.of("a").failures) == (0, 0)


async def test_no_attempt_starts_after_the_request_deadline() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b", timeout_s=10.0, timeouts=Timeouts(total_s=5.0)))
    script = Script(world, a=DOWN, b="never")
    script.before = lambda: world.clock.advance(10.0)
    with pytest.raises(errors.UpstreamUnavailable):
        await world.attempts.open(exchange, request, script)
    assert kinds(exchange) == [("a", "first", "upstream_unavailable")]


async def test_timeout_of_the_first_attempt_leaves_time_for_fallbacks() -> None:
    """The first deployment may use its 5 s; the second one still has its 20 s."""
    world = World()
    model = resolved("a b", timeout_s=25.0)
    a, b = (
        structs.replace(each, timeouts=Timeouts(total_s=total_s))
        for each, total_s in zip(model.pool, (5.0, 20.0), strict=True)
    )
    model = structs.replace(model, pool=(a, b), by_name={"a": a, "b": b})
    exchange, request = begin(world, model)
    script = Script(world, a=errors.UpstreamTimeout("slow"), b="yes")
    script.before = lambda: world.clock.advance(5.0)
    opened = await world.attempts.open(exchange, request, script)
    assert opened[0].deployment.name == "b"


async def test_attempt_ends_at_the_request_deadline() -> None:
    world = World()
    exchange, request = begin(world, resolved("a", timeout_s=0.05, timeouts=Timeouts(total_s=60.0)))

    async def hang(_: AttemptContext) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(
        errors.UpstreamTimeout, match=r"a did not respond within the 0\.05 s of .*\(request_timeout_s\)"
    ):
        async with asyncio.timeout(0.6):
            await world.attempts.open(exchange, request, hang)
    assert kinds(exchange) == [("a", "first", "upstream_timeout")]
    assert world.board.of("a").failures == 1


async def test_later_attempt_has_only_the_time_that_is_left() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b", timeout_s=100.0, timeouts=Timeouts(total_s=60.0)))

    async def fail_late_then_hang(context: AttemptContext) -> str:
        if context.deployment.name == "a":
            world.clock.advance(99.99)
            raise DOWN
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(errors.AllAttemptsFailed, match=r"b did not respond within the [\d.]+ s of the request"):
        async with asyncio.timeout(0.6):
            await world.attempts.open(exchange, request, fail_late_then_hang)
    assert world.board.of("b").failures == 0, "earlier attempts have used up its time"
    assert world.board.of("b").in_flight == 0


async def test_later_attempt_that_fails_in_the_remaining_time_counts() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b", timeout_s=100.0, timeouts=Timeouts(total_s=60.0)))

    async def fail_late(context: AttemptContext) -> str:
        if context.deployment.name == "a":
            world.clock.advance(80.0)
        raise DOWN

    with pytest.raises(errors.UpstreamUnavailable):
        await world.attempts.open(exchange, request, fail_late)
    assert world.board.of("b").failures == 1


async def test_slow_upload_does_not_shorten_the_first_attempt() -> None:
    world = World()
    exchange, request = begin(world, resolved("a", timeout_s=10.0, timeouts=Timeouts(total_s=5.0)))
    world.clock.advance(10.0)
    opened = await world.attempts.open(exchange, request, Script(world, a="yes"))
    assert opened[1] == "yes"


async def test_number_of_attempts_is_limited() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b", retries=100))
    with pytest.raises(errors.UpstreamUnavailable):
        await world.attempts.open(exchange, request, Script(world, a=[DOWN] * 50, b=[DOWN] * 50))
    assert len(exchange.attempts) == 16
    exchange, request = begin(world, resolved(" ".join(f"d{number}" for number in range(40))))
    with pytest.raises(errors.UpstreamUnavailable):
        await world.attempts.open(exchange, request, Script(world, **{f"d{number}": DOWN for number in range(40)}))
    assert len(exchange.attempts) == 16


async def test_latency_is_measured_from_the_start_of_the_attempt() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b"))
    script = Script(world, a=DOWN, b="yes")
    script.before = lambda: world.clock.advance(0.2)
    context, _ = await world.attempts.open(exchange, request, script)
    context.attempt.first_byte_ms = 300.0
    world.clock.advance(0.3)
    world.attempts.succeed(context)
    health = world.board.of("b")
    assert context.attempt.outcome == "ok"
    assert context.attempt.ended_ms == pytest.approx(700.0, abs=0.01)
    assert health.first_token_ms == pytest.approx(100.0, abs=0.01)
    assert health.latency_ms == pytest.approx(500.0, abs=0.01)
    assert health.in_flight == 0


async def test_answer_of_the_gateway_itself_is_no_success_of_the_deployment() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b"))
    script = Script(world, a=DOWN, b="local")
    script.before = lambda: world.clock.advance(0.2)
    context, _ = await world.attempts.open(exchange, request, script)
    world.attempts.succeed(context)
    health = world.board.of("b")
    assert context.attempt.outcome == "ok"
    assert (health.first_token_ms, health.latency_ms, health.in_flight) == (None, None, 0)


async def test_duration_of_a_session_is_not_its_latency() -> None:
    world = World()
    _, opened, _ = await open_with(world, resolved("a"), a="yes")
    opened[0].attempt.first_byte_ms = 40.0
    world.clock.advance(3600)
    world.attempts.succeed(opened[0], is_session=True)
    assert world.board.of("a").latency_ms == 40.0


def attempt(deployment: str, outcome: str) -> Attempt:
    return Attempt(deployment=deployment, kind="first", started_ms=0.0, outcome=outcome, message=f"{outcome}.")


def test_failures_of_one_kind_are_not_combined() -> None:
    assert combined_error(DOWN, [attempt("a", "x")]) is DOWN
    assert combined_error(DOWN, [attempt("a", "x"), attempt("b", "x")]) is DOWN
    assert combined_error(WRONG, [attempt("a", "x"), attempt("b", "y")]) is WRONG


def test_different_failures_are_combined_with_the_last_status() -> None:
    last = errors.UpstreamRateLimited("slow", retry_after_s=3.0)
    error = combined_error(last, [attempt(name, name) for name in "abcdef"])
    assert isinstance(error, errors.AllAttemptsFailed)
    assert error.message == "All 6 attempts failed. c: c. d: d. e: e. f: f."
    retried = combined_error(last, [attempt(name, name) for name in "abcaca"])
    assert retried.message == "All 6 attempts failed. a: a. b: b. c: c."
    assert (error.status, error.retry_after_s) == (429, 3.0)
    unsupported = combined_error(errors.UnsupportedFeature("no"), [attempt("a", "x"), attempt("b", "y")])
    assert unsupported.status == 502, "the request did not fail because the last deployment lacks a feature"


def test_combined_message_names_each_deployment_once() -> None:
    failed = Attempt(deployment="a", kind="first", started_ms=0.0, outcome="x", message="a failed (HTTP 500): down.")
    other = Attempt(deployment="b", kind="fallback", started_ms=0.0, outcome="y", message="busy")
    error = combined_error(DOWN, [failed, other])
    assert error.message == "Both attempts failed. a failed (HTTP 500): down. b: busy."


async def test_failed_attempt_names_its_deployment_instead_of_the_upstream() -> None:
    world = World()
    with pytest.raises(errors.UpstreamDisconnected) as caught:
        await open_with(world, resolved("a"), a=[errors.UpstreamDisconnected("The upstream closed.")] * 9)
    assert caught.value.message == "a closed."


def rotating(world: World, times: int) -> Attempts:
    return Attempts(
        board=world.board,
        backoff=Backoff(0.0, 0.0),
        clock=world.clock,
        rng=world.attempts.rng,
        credentials=Rotator(times),
    )


REFUSED = errors.UpstreamAuthFailed("refused")
THREE = (Secret("1"), Secret("2"), Secret("3"))


async def test_each_credential_is_a_recorded_attempt() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b", credentials=THREE))
    script = Script(world, a=[REFUSED, REFUSED, "yes"])
    context, value = await rotating(world, 9).open(exchange, request, script)
    assert (value, context.deployment.name) == ("yes", "a")
    assert kinds(exchange) == [
        ("a", "first", "upstream_authentication_failed"),
        ("a", "credential", "upstream_authentication_failed"),
        ("a", "credential", "pending"),
    ]
    assert [each.waited_ms for each in exchange.attempts] == [0.0, 0.0, 0.0]


async def test_next_deployment_is_tried_after_each_credential_was_used_once() -> None:
    world = World()
    exchange, request = begin(world, resolved("a b", credentials=THREE))
    script = Script(world, a=[REFUSED] * 9, b="yes")
    context, _ = await rotating(world, 9).open(exchange, request, script)
    assert context.deployment.name == "b"
    assert [(name, kind) for name, kind, _ in kinds(exchange)] == [
        ("a", "first"), ("a", "credential"), ("a", "credential"), ("b", "next"),
    ]  # fmt: skip


async def test_rotation_needs_another_usable_credential() -> None:
    world = World()
    for model, times in ((resolved("a", credentials=THREE), 0), (resolved("a", credentials=THREE[:1]), 9)):
        exchange, request = begin(world, model)
        with pytest.raises(errors.UpstreamAuthFailed):
            await rotating(world, times).open(exchange, request, Script(world, a=REFUSED))
        assert [kind for _, kind, _ in kinds(exchange)] == ["first"]


async def test_rotation_is_decided_by_deployment_error_and_status() -> None:
    world = World()
    exchange, request = begin(world, resolved("a", credentials=THREE[:2]))

    async def refuse(context: AttemptContext) -> str:
        context.attempt.status = 402
        raise REFUSED

    attempts = rotating(world, 9)
    assert isinstance(attempts.credentials, Rotator)
    with pytest.raises(errors.UpstreamAuthFailed):
        await attempts.open(exchange, request, refuse)
    assert [kind for _, kind, _ in kinds(exchange)] == ["first", "credential"], "two credentials, each used once"
    assert attempts.credentials.asked == [("a", REFUSED.code, 402)]


async def test_gateway_without_rotation_tries_the_next_deployment() -> None:
    world = World()
    exchange, opened, _ = await open_with(world, resolved("a b", credentials=THREE), a=REFUSED, b="yes")
    assert opened[0].deployment.name == "b"
    assert [kind for _, kind, _ in kinds(exchange)] == ["first", "next"]
