"""Affinity in the pipeline: what names a session, where its requests go, and what the record says."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.config.runtime import KeySpec
from intellirouter.core import (
    DEFAULT_AFFINITY,
    AffinityPolicy,
    AffinityUse,
    Call,
    CredentialChoice,
    Deployment,
    Price,
    RequestContext,
    Secret,
    UpstreamRequest,
)
from intellirouter.pipeline.affinity import with_credential_choice
from intellirouter.pipeline.exchange import Exchange, SessionPlace
from intellirouter.routing import Affinity, Placement
from tests.support.pipeline import EVENTS, Response, Source, World, resolved

LONG = "Explain this carefully. " * 300
PRICE = Price(input=3_000_000, output=15_000_000, cache_read=300_000)


def answer(prompt_tokens: int = 2000, cached_tokens: int = 0) -> Response:
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }
    choice = {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return Response(json.dumps({"choices": [choice], "usage": usage}).encode())


def model(
    policy: AffinityPolicy | None = DEFAULT_AFFINITY, strategy: str = "round_robin", **members: Any
) -> ResolvedModel:
    return structs.replace(resolved("a b c d", price=PRICE, **members), strategy=strategy, affinity=policy)


def world(one: ResolvedModel | None = None, *, answers: int = 40, **members: Any) -> World:
    ready = {name: [answer() for _ in range(answers)] for name in "abcd"}
    return World(one or model(), **{**ready, **members})


def body(text: str = LONG, turns: int = 0, **members: Any) -> bytes:
    messages = [{"role": "user", "content": text}]
    for number in range(turns):
        messages += [{"role": "assistant", "content": f"answer {number}"}, {"role": "user", "content": "and then?"}]
    return json.dumps({"model": "m", "messages": messages, **members}).encode()


async def served(by: World, request: bytes, session: str = "", **members: Any) -> Exchange:
    context = RequestContext(session=session) if session else RequestContext()
    exchange = await by.serve(request, context=context, **members)
    assert exchange.error is None
    return exchange


def names(exchanges: Sequence[Exchange]) -> set[str | None]:
    return {each.record.deployment for each in exchanges if each.record is not None}


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "least_busy", "power_of_two"])
async def test_turns_of_a_conversation_stay_at_one_deployment(strategy: str) -> None:
    by = world(model(strategy=strategy))
    turns = [await served(by, body(turns=number)) for number in range(6)]
    assert len(names(turns)) == 1
    uses = [each.affinity for each in turns]
    assert [each and (each.kind, each.outcome) for each in uses] == [("prompt", "new")] + [("prompt", "hit")] * 5
    [home] = names(turns)
    assert f"prompt affinity: served by {home} 0 s ago" in str(turns[-1].decision and turns[-1].decision.reason)


async def test_short_prompts_take_turns_and_cost_nothing() -> None:
    by = world()
    turns = [await served(by, body("hello")) for _ in range(4)]
    assert names(turns) == {"a", "b", "c", "d"}
    assert [each.affinity for each in turns] == [None] * 4


@pytest.mark.parametrize("members", [{"prompt_cache_key": "k"}, {"metadata": {"session_id": "k"}}])
async def test_session_named_in_the_body_keeps_short_prompts_together(members: dict[str, Any]) -> None:
    by = world()
    assert len(names([await served(by, body(f"question {number}", **members)) for number in range(5)])) == 1
    assert by.journal.records[-1].affinity == AffinityUse(
        kind="session", outcome="hit", deployment=str(by.journal.records[0].deployment)
    )


async def test_session_named_in_the_header_wins() -> None:
    by = world()
    first = [await served(by, body(f"{number}", prompt_cache_key=f"{number}"), session="s") for number in range(4)]
    assert len(names(first)) == 1
    many = [await served(by, body("hi"), session=f"s{number}") for number in range(20)]
    assert len(names(many)) > 1


async def test_mode_session_ignores_the_beginning_of_prompts() -> None:
    by = world(model(AffinityPolicy(recognizes_prompts=False)))
    assert names([await served(by, body()) for _ in range(4)]) == {"a", "b", "c", "d"}
    assert len(names([await served(by, body(), session="s") for _ in range(4)])) == 1


async def test_off_ignores_everything() -> None:
    by = world(model(None))
    turns = [await served(by, body(prompt_cache_key="k"), session="s") for _ in range(4)]
    assert names(turns) == {"a", "b", "c", "d"}
    assert turns[0].place is None


async def test_tenants_with_the_same_session_have_different_places() -> None:
    keys = tuple(
        KeySpec(digest=hashlib.sha256(name.encode()).digest(), tenant=name, name=name) for name in ("north", "south")
    )
    by = world(keys=keys)
    await served(by, body(), session="s", key=b"north")
    other = await served(by, body(), session="s", key=b"south")
    assert other.affinity is not None
    assert other.affinity.outcome == "new"


async def test_session_that_pauses_too_long_is_new() -> None:
    by = world(model(AffinityPolicy(ttl_s=300.0)))
    outcomes = []
    for pause_s in (0.0, 299.0, 299.0, 301.0):
        by.clock.advance(pause_s)
        exchange = await served(by, body())
        outcomes.append(exchange.affinity and (exchange.affinity.outcome, exchange.affinity.age_s))
    assert outcomes == [("new", 0.0), ("hit", 299.0), ("hit", 299.0), ("new", 0.0)]


async def test_places_survive_a_reload() -> None:
    by = world(model(strategy="least_busy"))
    first = await served(by, body())
    by.use(by.current.value.spine._stages)
    second = await served(by, body(turns=1))
    assert second.affinity is not None
    assert (second.affinity.outcome, names([first, second])) == ("hit", names([first]))


async def test_failed_deployment_loses_the_session_to_the_one_that_answered() -> None:
    by = world()
    first = await served(by, body(), session="s")
    home = str(first.record and first.record.deployment)
    by.upstream.answers[home].insert(0, Response(b"{}", status=503))
    second = await served(by, body(turns=1), session="s")
    use = second.affinity
    assert use is not None
    assert (use.outcome, use.deployment, use.cause) == ("broken", home, "upstream_unavailable")
    third = await served(by, body(turns=2), session="s")
    assert third.affinity is not None
    assert third.affinity.outcome == "hit"
    assert names([second]) == names([third])
    assert names([third]) != {home}


async def test_open_circuit_is_named_with_the_cached_input_that_is_lost() -> None:
    by = world()
    first = await served(by, body(), session="s")
    home = str(first.record and first.record.deployment)
    for _ in range(3):
        by.board.of(home).fail(by.board.of(home).begin(0.0), "upstream_timeout", by.clock.monotonic_s())
    second = await served(by, body(turns=1), session="s")
    use, decision = second.affinity, second.decision
    assert use is not None
    assert decision is not None
    assert use.cause.startswith("circuit open after 3 failures in a row")
    assert use.lost_microusd == decision.affinity_lost_microusd > 0
    assert f"affinity to {home} broken: circuit open" in decision.reason
    assert "USD of cached input lost)" in decision.reason


async def test_expected_cached_input_follows_the_usage() -> None:
    by = world()
    for name in "abcd":
        by.upstream.answers[name] = [answer(1900), answer(1950, cached_tokens=1900), answer(1990), answer(2000)]
    expected = []
    for number in range(4):
        exchange = await served(by, body(turns=number), session="s")
        assert exchange.place is not None
        expected.append(exchange.place.affinity.cached_tokens)
    estimates = [Call(operation="chat", model="m", body=body(turns=each)).estimated_input_tokens() for each in (1, 2)]
    # A hit without any cached tokens shows that the provider caches nothing.
    assert expected == [0, min(1900, estimates[0]), min(1950, estimates[1]), 0]


async def test_failed_requests_leave_the_session_where_it_is() -> None:
    by = world()
    first = await served(by, body(), session="s")
    home = str(first.record and first.record.deployment)
    by.upstream.answers[home].insert(0, Response(b'{"error": {"message": "no"}}', status=400))
    failed = await by.serve(body(turns=1), context=RequestContext(session="s"))
    assert failed.error is not None
    assert failed.affinity is None
    again = await served(by, body(turns=2), session="s")
    assert again.affinity is not None
    assert (again.affinity.outcome, names([again])) == ("hit", {home})


async def test_stream_that_the_client_has_stopped_keeps_the_session() -> None:
    gate = asyncio.Event()
    streams = {name: [Response(*EVENTS[:2], gate=gate), *[answer() for _ in range(3)]] for name in "abcd"}
    by = World(model(), **streams)
    source = Source(body(stream=True), context=RequestContext(session="s"))
    task = asyncio.create_task(by.entry.serve(source, by.reply))
    async with asyncio.timeout(5):
        while "write" not in by.events:
            await asyncio.sleep(0)
    assert source.on_disconnect is not None
    source.on_disconnect()
    await task
    home = by.record.deployment
    later = await served(by, body(turns=1), session="s")
    assert later.affinity is not None
    assert (later.affinity.outcome, names([later])) == ("hit", {home})


class Rotating:
    """Implements `core.Upstream`: answers with the credential that the request asks for, or with the first one."""

    def __init__(self) -> None:
        self.choices: list[CredentialChoice | None] = []
        self.refused: set[str] = set()

    async def send(self, to: Deployment, request: UpstreamRequest) -> Response:
        self.choices.append(request.credential)
        usable = [each.fingerprint for each in to.credentials if each.fingerprint not in self.refused]
        choice = request.credential
        response = answer()
        response.credential_fingerprint = choice.preferred if choice and choice.preferred in usable else usable[0]
        return response


async def test_session_prefers_the_credential_that_served_it_and_says_if_that_is_not_usable() -> None:
    secrets = tuple(Secret(f"key {number}") for number in range(3))
    one = structs.replace(resolved("a", credentials=secrets), affinity=AffinityPolicy())
    by, upstream = World(one), Rotating()
    by.upstream = upstream  # type: ignore[assignment]
    parts = structs.replace(by._parts, upstream=upstream)
    by._parts = parts
    by.use(by.current.value.spine._stages)
    await served(by, body(), session="s")
    upstream.refused = {secrets[1].fingerprint}
    await served(by, body(turns=1), session="s")
    upstream.refused = {secrets[0].fingerprint}
    moved = await served(by, body(turns=2), session="s")
    plain = await served(by, body("hi"))
    first, second, third, fourth = upstream.choices
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.preferred, second.preferred, fourth) == ("", secrets[0].fingerprint, None)
    assert first.key == second.key == third.key
    assert moved.affinity is not None
    assert (moved.affinity.outcome, moved.affinity.cause) == ("broken", "its credential was not usable")
    assert moved.attempts[-1].credential == secrets[1].fingerprint
    assert plain.attempts[-1].credential == secrets[1].fingerprint


def test_credential_of_another_deployment_is_not_preferred() -> None:
    place = SessionPlace(Affinity(kind="session", key=b"k"), Placement("b", 0.0, credential="c"))
    secrets = (Secret("one"), Secret("two"))
    request = UpstreamRequest(path="/x")
    chosen = {
        name: with_credential_choice(request, place, resolved(name, credentials=secrets).pool[0]).credential
        for name in "ab"
    }
    assert chosen == {"a": CredentialChoice(b"k"), "b": CredentialChoice(b"k", "c")}
