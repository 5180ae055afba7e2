"""The semantic cache in the pipeline: what is looked up, verified and served, complete and streamed."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("numpy", reason="the extra `semantic` is not installed")

from intellirouter.cache import CacheDirectives, SimilarAnswers
from intellirouter.config import CacheSpec, KeySpec, SemanticSpec
from intellirouter.core import Usage, errors
from tests.support.cached_world import TTL, Cached, sent_of
from tests.support.fake_embedder import FakeEmbedder
from tests.support.pipeline import ANSWER, EVENTS, Response

QUESTION = "What is the capital of Chile?"
REWRITES = (
    "Hi, what is the capital of Chile?",
    "What is the capital of Chile? Thanks!",
    "Hello, what's the capital of Chile?",
    "Please: what is the capital of Chile?",
)
LAST = "Hi! What is the capital of Chile? Thank you!"
TYPO = "What is the cpaital of Chile, the country in the south west of America?"
SPELLED = "What is the capital of Chile, the country in the south west of America?"
BYE = ANSWER.replace(b'"hi"', b'"bye"')
LOW = SemanticSpec(target_precision=0.5, verify_share=1e-9)
"""Three right answers are enough."""


def spec(semantic: SemanticSpec | None = LOW, **members: Any) -> CacheSpec:
    return CacheSpec(is_used=True, ttl_s=TTL, semantic=semantic, **members)


def body(text: str, *, stream: bool = False, **members: Any) -> bytes:
    request = {"model": "m", "messages": [{"role": "user", "content": text}], **members}
    return json.dumps({**request, "stream": True} if stream else request).encode()


class World(Cached):
    """A pipeline whose model has the mode `semantic`, with an embedder that does not decide."""

    def __init__(self, *answers: Any, settings: CacheSpec | None = None, **members: Any) -> None:
        self.embedder = FakeEmbedder()
        chosen = settings or spec()
        similar = SimilarAnswers(lambda: self.embedder)
        similar.apply(chosen.semantic)
        similar.load()
        super().__init__(*answers, settings=chosen, similar=similar, mode=members.pop("mode", "semantic"), **members)

    async def verified(self, *, stream: bool = False) -> "World":
        """Ask the question, and enough rewrites of it."""
        for text in (QUESTION, *REWRITES[:3]):
            await self.ask(body(text, stream=stream))
        return self

    @property
    def last(self) -> Any:
        return self.journal.records[-1]


@pytest.mark.parametrize(("stream", "answer"), [(False, (ANSWER,)), (True, EVENTS)])
async def test_similar_request_gets_the_stored_answer_after_verification(stream: bool, answer: Sequence[bytes]) -> None:
    world = World(*[Response(*answer) for _ in range(4)])
    await world.verified(stream=stream)
    assert (world.calls, world.statuses) == (4, ["miss"] * 4)
    assert "is compared with the new one" in world.last.cache_reason
    world.clock.advance(12.0)
    _, reply = await world.ask(body(LAST, stream=stream))
    assert (world.calls, reply.body) == (4, sent_of(answer))
    record = world.last
    assert (record.cache, record.cache_similarity, record.cache_age_s) == ("similar", 1.0, pytest.approx(12.0))
    assert (record.cost_microusd, record.saved_microusd, record.usage) == (0, 5, Usage())
    assert record.cache_source == world.journal.records[3].request_id
    assert (record.deployment, record.attempts, record.finish_reason) == (None, (), "stop")


async def test_same_canonical_text_needs_no_embedding() -> None:
    world = await World(*[Response(ANSWER) for _ in range(4)]).verified()
    before = world.embedder.calls
    await world.ask(body(LAST))
    assert (world.last.cache, world.embedder.calls) == ("similar", before)


async def test_typing_error_is_found_by_its_embedding() -> None:
    world = await World(*[Response(ANSWER) for _ in range(6)]).verified()
    await world.ask(body(SPELLED))
    await world.ask(body(TYPO))
    assert world.statuses[-2:] == ["miss", "similar"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (body(QUESTION), body("What is the capital of Peru?")),
        (body("List 3 large cities in Chile."), body("List 4 large cities in Chile.")),
        (body(QUESTION), body(LAST, max_tokens=5)),
        (body(QUESTION), body(LAST, stream=True)),
        (body(QUESTION), body(LAST, messages=[{"role": "system", "content": "x"}, {"role": "user", "content": LAST}])),
        (body(QUESTION), body(LAST, temperature=0.9)),
        (body("What is the weather today in Chile?"), body("Hi, what is the weather today in Chile?")),
    ],
)
async def test_requests_with_a_difference_are_misses(first: bytes, second: bytes) -> None:
    world = await World(*[Response(ANSWER) for _ in range(5)], Response(*EVENTS)).verified()
    await world.ask(first)
    await world.ask(second)
    assert world.last.cache == "miss"
    assert world.last.cache_source is None


async def test_user_and_metadata_make_no_difference() -> None:
    world = await World(*[Response(ANSWER) for _ in range(4)]).verified()
    await world.ask(body(LAST, user="someone"))
    assert world.last.cache == "similar"


async def test_wrong_answers_turn_it_off_and_it_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(Response(ANSWER), *[Response(BYE if number % 2 else ANSWER) for number in range(1, 8)])
    await world.verified()
    assert [view.state.value for view in world.similar.monitors()] == ["paused"]
    assert "The semantic cache of the model 'm' is off for 600 s: too few of its answers were right." in caplog.text
    await world.ask(body(LAST))
    assert world.last.cache == "miss"
    assert world.last.cache_reason.startswith("No answer to a similar request was used. Too few answers")
    world.clock.advance(601.0)
    await world.ask(body(REWRITES[3]))
    assert "is compared with the new one" in world.last.cache_reason
    assert "is tried again: its answers are verified." in caplog.text


async def test_some_served_answers_are_still_verified() -> None:
    settings = spec(SemanticSpec(target_precision=0.5, verify_share=1.0))
    world = await World(*[Response(ANSWER) for _ in range(5)], settings=settings).verified()
    await world.ask(body(LAST))
    assert (world.last.cache, world.calls) == ("miss", 5)
    assert [view.verified for view in world.similar.monitors()] == [4]


async def test_tenants_are_apart() -> None:
    keys = tuple(KeySpec(digest=hashlib.sha256(name.encode()).digest(), tenant=name, name="k") for name in ("t1", "t2"))
    world = World(*[Response(ANSWER) for _ in range(5)], keys=keys)
    for text in (QUESTION, *REWRITES[:3]):
        await world.ask(body(text), key=b"t1")
    await world.ask(body(LAST), key=b"t2")
    assert (world.last.cache, world.last.cache_reason) == ("miss", None)
    await world.ask(body(LAST), key=b"t1")
    assert world.last.cache == "similar"


@pytest.mark.parametrize("tenant_mode", ["exact", "semantic"])
async def test_tenant_with_a_setting_of_its_own_gets_exact_answers_only(tenant_mode: Any) -> None:
    world = World(*[Response(ANSWER) for _ in range(5)], settings=spec(tenants={"default": tenant_mode}))
    await world.verified()
    await world.ask(body(LAST))
    assert (world.last.cache, world.similar.entry_count) == ("miss", 0)


@pytest.mark.parametrize("mode", ["exact", None])
async def test_models_without_the_mode_read_and_embed_nothing(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimilarAnswers, "examine", None)
    world = World(Response(ANSWER), settings=spec(default_mode="exact"), mode=mode)
    await world.ask(body(QUESTION))
    await world.ask(body(QUESTION))
    assert (world.statuses, world.embedder.calls) == (["miss", "hit"], 0)


async def test_expired_answer_is_not_used() -> None:
    world = await World(*[Response(ANSWER) for _ in range(5)]).verified()
    world.clock.advance(3_600.0)
    await world.ask(body(LAST))
    assert (world.last.cache, world.last.cache_source) == ("miss", None)


async def test_answer_that_was_dropped_takes_its_entry_with_it() -> None:
    world = await World(*[Response(ANSWER) for _ in range(5)]).verified()
    world.store.apply(0, 0.0)
    assert world.similar.entry_count == 4
    await world.ask(body(LAST))
    assert (world.last.cache, world.similar.entry_count) == ("miss", 1)


async def test_request_controls() -> None:
    world = await World(*[Response(ANSWER) for _ in range(6)]).verified()
    world.clock.advance(30.0)
    await world.ask(body(LAST), CacheDirectives(only_if_cached=True))
    assert world.last.cache == "similar"
    await world.ask(body(LAST), CacheDirectives(max_age_s=10))
    await world.ask(body(LAST), CacheDirectives(no_cache=True))
    assert [record.cache for record in world.journal.records[-2:]] == ["miss", "bypass"]
    assert world.last.cache_source is None
    await world.ask(body(f"{LAST} Bye!"), CacheDirectives(no_store=True))
    assert world.last.cache == "bypass"


async def test_only_if_cached_calls_no_model_to_verify() -> None:
    world = World(Response(ANSWER))
    await world.ask(body(QUESTION))
    await world.ask(body(LAST), CacheDirectives(only_if_cached=True))
    assert (world.last.error_code, world.calls) == ("not_cached", 1)


async def test_nothing_is_compared_before_the_embedder_is_loaded() -> None:
    world = World(Response(ANSWER), Response(ANSWER))
    world.similar._embedder = None
    await world.ask(body(QUESTION))
    await world.ask(body(LAST))
    assert "could not be loaded" in world.last.cache_reason
    assert world.similar.entry_count == 0


def test_embedder_that_cannot_be_loaded_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> FakeEmbedder:
        raise ModuleNotFoundError("wordllama is not installed.")

    similar = SimilarAnswers(load)
    similar.load()
    assert not similar.is_loaded
    assert "pip install 'intellirouter[semantic]'." in caplog.text


@pytest.mark.parametrize(
    ("request_body", "reason"),
    [
        (body(QUESTION, metadata={"x": "y" * 17_000}), "up to 16 KiB"),
        (body(QUESTION + " Explain it, please." * 50), "more than 700 characters"),
        (body(QUESTION, tools=[{"type": "function", "function": {"name": "f"}}]), "The request has tools."),
        (b'{"model":"m","messages":[{"role":"user","content":"x y z"}],"seed":1}', "sets a seed"),
    ],
)
async def test_reason_why_a_request_is_not_compared_is_in_its_record(request_body: bytes, reason: str) -> None:
    world = World(Response(ANSWER))
    await world.ask(request_body)
    assert world.last.cache == "miss"
    assert world.last.cache_reason.startswith("No answer to a similar request was used. ")
    assert reason in world.last.cache_reason
    assert world.similar.entry_count == 0


async def test_similar_requests_at_the_same_time() -> None:
    world = World(*[Response(ANSWER) for _ in range(4)])
    await asyncio.gather(*[world.ask(body(text)) for text in (QUESTION, *REWRITES[:3], QUESTION)])
    assert sorted(filter(None, world.statuses)) == ["joined", "miss", "miss", "miss", "miss"]
    assert (world.calls, world.similar.entry_count) == (4, 4)


async def test_failed_and_cut_off_answers_are_not_verified() -> None:
    cut = ANSWER.replace(b'"stop"', b'"length"')
    world = World(Response(ANSWER), Response(cut), Response(b"{}", status=400))
    for text in (QUESTION, *REWRITES[:2]):
        await world.ask(body(text))
    assert [view.verified for view in world.similar.monitors()] == [0]


@pytest.mark.parametrize("error", [errors.Overloaded("busy"), ValueError("a bug")])
async def test_comparison_that_is_not_possible_counts_nothing(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world = World(Response(ANSWER), Response(ANSWER))
    await world.ask(body(QUESTION))

    def refuse(*_: object) -> bool:
        raise error

    monkeypatch.setattr(world.similar, "agree", refuse)
    _, reply = await world.ask(body(LAST))
    assert reply.body == ANSWER
    assert [view.verified for view in world.similar.monitors()] == [0]


async def test_other_target_measures_again_and_none_forgets_everything() -> None:
    world = await World(*[Response(ANSWER) for _ in range(4)]).verified()
    world.similar.apply(SemanticSpec(target_precision=0.9))
    assert list(world.similar.monitors()) == []
    assert world.similar.entry_count == 4
    world.similar.apply(None)
    assert (world.similar.entry_count, world.similar.size_bytes) == (0, 0)
