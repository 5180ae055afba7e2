"""Expired answers and the degradation ladder: when they are used, and that degraded answers are not stored."""

from typing import cast

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.config import CacheSpec
from intellirouter.core import DegradationStep, errors
from tests.support.cached_world import SENT, Cached, spec
from tests.support.ladders import refuse, shorten, stale, to_model, with_ladder
from tests.support.pipeline import ANSWER, BODY, EVENTS, STREAM_BODY, Answer, NamedModels, Reply, Response, resolved

TOO_LONG = b'{"error":{"message":"too long","code":"context_length_exceeded","type":"invalid_request_error"}}'
Step = DegradationStep | tuple[DegradationStep, ResolvedModel]


class Laddered(Cached):
    """A cached world whose model has a ladder. The model `small` has the deployment `s`."""

    def __init__(self, *steps: Step, settings: CacheSpec, a: list[Answer], s: Answer | None = None) -> None:
        super().__init__(*a, settings=settings)
        self.upstream.answers["s"] = [] if s is None else [s]
        catalog = cast("NamedModels", self.current.value.catalog)
        catalog.use(with_ladder(catalog.resolved_models["m"], *steps))


def small() -> Step:
    return to_model(resolved("s"))


def down() -> errors.GatewayError:
    return errors.UpstreamUnavailable("a is down.")


@pytest.mark.parametrize(("body", "answer"), [(BODY, Response(ANSWER)), (STREAM_BODY, Response(*EVENTS))])
async def test_expired_answer_is_used_where_the_ladder_says(body: bytes, answer: Response) -> None:
    world = Laddered(
        small(), stale(600.0), settings=spec(kept_stale_s=600.0), a=[answer, down()], s=errors.UpstreamTimeout("slow")
    )
    _, first = await world.ask(body)
    world.clock.advance(3700.0)
    _, reply = await world.ask(body)
    assert (reply.error, reply.body) == (None, first.body)
    record = world.journal.records[-1]
    assert world.upstream.order == "a a s"
    assert (record.status, record.cache, record.degraded, record.deployment) == (200, "stale", "stale", None)
    assert [(each.step, each.outcome) for each in record.degradation] == [("model small", "failed"), ("stale", "taken")]
    assert record.cost_microusd == 0


async def test_expired_answer_comes_first_if_the_ladder_has_no_place_for_it() -> None:
    settings = spec(stale_if_error_s=600.0, kept_stale_s=600.0)
    world = Laddered(small(), settings=settings, a=[Response(ANSWER), down()], s=Response(ANSWER))
    await world.ask()
    world.clock.advance(3700.0)
    await world.ask()
    record = world.journal.records[-1]
    assert (record.cache, record.degraded, record.degradation) == ("stale", None, ())


@pytest.mark.parametrize(("after_s", "is_stale"), [(3700.0, True), (3600.0 + 299.0, True), (3600.0 + 301.0, False)])
async def test_answer_that_has_expired_too_long_ago_is_not_used(after_s: float, is_stale: bool) -> None:
    world = Laddered(stale(300.0), refuse(), settings=spec(kept_stale_s=9000.0), a=[Response(ANSWER), down()])
    await world.ask()
    world.clock.advance(after_s)
    await world.ask()
    assert world.journal.records[-1].degraded == ("stale" if is_stale else "refuse")


async def test_answers_that_are_kept_for_other_models_are_not_used() -> None:
    world = Cached(Response(ANSWER), down(), settings=spec(kept_stale_s=9000.0))
    await world.ask()
    world.clock.advance(3700.0)
    _, reply = await world.ask()
    assert reply.error is not None


async def test_expired_answer_to_a_request_that_has_become_too_long_is_used() -> None:
    too_long = Response(TOO_LONG, status=400)
    world = Laddered(stale(600.0), settings=spec(kept_stale_s=600.0), a=[Response(ANSWER), too_long])
    await world.ask()
    world.clock.advance(3700.0)
    await world.ask()
    assert world.journal.records[-1].degraded == "stale"


@pytest.mark.parametrize(("body", "answer"), [(BODY, Response(ANSWER)), (STREAM_BODY, Response(*EVENTS))])
async def test_degraded_answers_are_not_stored(body: bytes, answer: Response) -> None:
    own = Response(*EVENTS) if body is STREAM_BODY else Response(ANSWER)
    world = Laddered(small(), settings=spec(), a=[down(), own], s=answer)
    await world.ask(body)
    await world.ask(body)
    assert [(each.cache, each.degraded) for each in world.journal.records] == [("miss", "model small"), ("miss", None)]
    assert world.calls == 3


async def test_refusals_are_not_stored() -> None:
    world = Laddered(refuse(is_answer=True), settings=spec(), a=[down(), Response(ANSWER)])
    await world.ask()
    await world.ask()
    assert [each.degraded for each in world.journal.records] == ["refuse", None]
    assert (len(world.flights), world.flights.used_bytes) == (0, 0)


async def test_follower_of_a_request_that_failed_has_a_ladder_of_its_own() -> None:
    world = Laddered(small(), settings=spec(), a=[down(), down()], s=Response(*EVENTS))
    world.upstream.answers["s"].append(Response(*EVENTS))
    one, other = world.start(STREAM_BODY), world.start(STREAM_BODY)
    (_, first), (_, second) = await one, await other
    assert first.body == second.body == SENT
    assert [each.degraded for each in world.journal.records] == ["model small", "model small"]


async def test_pings_are_followed_by_an_expired_stream() -> None:
    world = Laddered(shorten(10), stale(600.0), settings=spec(kept_stale_s=600.0), a=[Response(*EVENTS), down()])
    await world.ask(STREAM_BODY)
    world.clock.advance(3700.0)
    reply = Reply()
    reply.ping()
    await world.ask(STREAM_BODY, reply=reply)
    assert (reply.error, reply.body) == (None, SENT)
    assert structs.asdict(world.journal.records[-1].degradation[0])["outcome"] == "skipped"
