"""The stage of pins: what answers create goes back to the creator, in every dialect with such ids."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import OffLoop, Pin, RequestContext, Secret
from intellirouter.pipeline import Exchange, Stages
from intellirouter.resources import AsyncObjectStore, PinStage, PinStore
from intellirouter.store import ObjectStore
from intellirouter.store.migrate import upgrade
from intellirouter.testing import FakeClock
from tests.support.pipeline import Response, World, deployment

CHAT = {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "up",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
HELLO = [{"role": "user", "content": "hello"}]


def model(dialect: str, *, has_one_account: bool = False) -> ResolvedModel:
    names = ("a", "b")
    pool = tuple(
        deployment(name, provider=f"p-{name}", dialects=(dialect,), credentials=(Secret(f"key {name}"),))
        for name in names
    )
    return ResolvedModel(
        model="m",
        kind="model",
        strategy="round_robin",
        pool=pool,
        request_timeout_s=60.0,
        has_one_account=has_one_account,
        by_name={each.name: each for each in pool},
    )


async def is_only_gateway() -> bool:
    return True


class Stored:
    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.objects = ObjectStore(url, lambda: None)
        self.pins = PinStore(AsyncObjectStore(self.objects, self.clock, is_only_gateway), self.clock)
        self.off_loop = OffLoop()

    def world(self, one: ResolvedModel, **answers: Any) -> World:
        stage = PinStage(self.pins, self.off_loop)
        return World(one, stages=Stages(request=(stage,), answer=(stage,)), **answers)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    url = f"sqlite:///{tmp_path}/objects.db"
    upgrade(url)
    made = Stored(url)
    yield made
    made.off_loop.close()
    made.objects.close()


def answers(*documents: dict[str, Any]) -> list[Response]:
    return [Response(json.dumps(each).encode()) for each in documents]


async def ask(world: World, endpoint: str, **body: Any) -> Exchange:
    context = RequestContext(model="m") if endpoint == "gemini" else RequestContext()
    exchange = await world.serve(json.dumps({"model": "m", **body}).encode(), endpoint=endpoint, context=context)
    assert exchange.error is None, exchange.error.full_message
    return exchange


def served(exchange: Exchange) -> str:
    assert exchange.record is not None
    return str(exchange.record.deployment)


async def test_audio_of_a_chat_answer(stored: Stored) -> None:
    message = {"role": "assistant", "content": "hi", "audio": {"id": "audio_1", "data": "", "transcript": "hi"}}
    spoken = {"choices": [{"message": message, "finish_reason": "stop"}]}
    world = stored.world(model("openai_chat"), a=answers(spoken, *[CHAT] * 9), b=answers(spoken, *[CHAT] * 9))
    first = await ask(world, "openai_chat", messages=HELLO, modalities=["text", "audio"])
    history = [*HELLO, {"role": "assistant", "audio": {"id": "audio_1"}}, *HELLO]
    later = [await ask(world, "openai_chat", messages=history) for _ in range(4)]
    assert {served(each) for each in later} == {served(first)}
    assert all("can read what the request refers to" in str(each.decision and each.decision.reason) for each in later)
    plain = [await ask(world, "openai_chat", messages=HELLO) for _ in range(2)]
    assert {served(each) for each in plain} == {"a", "b"}


async def test_container_of_a_message(stored: Stored) -> None:
    created = {**MESSAGE, "container": {"id": "container_1", "expires_at": "2030-01-01T00:00:00Z"}}
    world = stored.world(
        model("anthropic_messages"), a=answers(created, *[MESSAGE] * 9), b=answers(created, *[MESSAGE] * 9)
    )
    tools = [{"type": "code_execution_20250825", "name": "code_execution"}]
    first = await ask(world, "anthropic_messages", messages=HELLO, max_tokens=9, tools=tools)
    later = [
        await ask(world, "anthropic_messages", messages=HELLO, max_tokens=9, tools=tools, container="container_1")
        for _ in range(4)
    ]
    assert {served(each) for each in later} == {served(first)}


async def test_cached_content_of_gemini_is_remembered_where_it_was_used(stored: Stored) -> None:
    content = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}
    world = stored.world(model("gemini"), a=answers(*[content] * 9), b=answers(*[content] * 9))
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    asked = [await ask(world, "gemini", contents=contents, cachedContent="cachedContents/c1") for _ in range(4)]
    assert len({served(each) for each in asked}) == 1


async def test_what_fails_is_not_remembered(stored: Stored) -> None:
    refusal = Response(json.dumps({"error": {"message": "Audio not found."}}).encode(), status=404)
    world = stored.world(model("openai_chat"), a=[refusal], b=[refusal])
    history = [*HELLO, {"role": "assistant", "audio": {"id": "audio_1"}}, *HELLO]
    body = json.dumps({"model": "m", "messages": history}).encode()
    failed = await world.serve(body)
    assert failed.error is not None
    assert await stored.pins.find("default", ["audio_1"]) is None


async def test_one_account_needs_no_pins(stored: Stored) -> None:
    world = stored.world(model("openai_chat", has_one_account=True), a=answers(CHAT), b=answers(CHAT))
    exchange = await ask(world, "openai_chat", messages=[*HELLO, {"role": "assistant", "audio": {"id": "x"}}])
    assert not exchange.vendor_ids
    assert await stored.pins.find("default", ["x"]) is None


async def test_creator_with_several_credentials_is_remembered_with_the_one_it_used(stored: Stored) -> None:
    one = model("openai_chat")
    keys = (Secret("first"), Secret("second"))
    pool = tuple(structs.replace(each, credentials=keys) for each in one.pool)
    one = structs.replace(one, pool=pool, by_name={each.name: each for each in pool})
    response = Response(json.dumps(CHAT).encode())
    response.credential_fingerprint = keys[1].fingerprint
    world = stored.world(one, a=[response], b=[response])
    await ask(world, "openai_chat", messages=[*HELLO, {"role": "assistant", "audio": {"id": "audio_1"}}])
    found = await stored.pins.find("default", ["audio_1"])
    assert found is not None
    assert found[1] == Pin("p-a", "a", keys[1].fingerprint)
