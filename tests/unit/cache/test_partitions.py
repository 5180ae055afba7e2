"""The key of a partition: everything of a request but the text of its last turn."""

import json
from typing import Any

import pytest

from intellirouter.cache import CacheKeys
from intellirouter.cache.keys import body_without_last_turn
from intellirouter.core import RequestContext
from intellirouter.dialects import last_turn_of
from tests.support.dialects.standard import ENDPOINTS
from tests.support.pipeline import resolved

MODEL = resolved("a b")
ONE, OTHER = "What is the capital of Chile?", "Hi, what is the capital of Chile?"


def turns(text: str, content: Any = None) -> list[dict[str, Any]]:
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]
    return [*history, {"role": "user", "content": text if content is None else content}]


def parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}, {"type": "text", "text": "In one word."}]


REQUESTS: dict[str, tuple[str, Any]] = {
    "chat": ("openai_chat", lambda text: {"model": "m", "messages": turns(text)}),
    "chat parts": ("openai_chat", lambda text: {"model": "m", "messages": turns("", parts(text))}),
    "messages": ("anthropic_messages", lambda text: {"model": "m", "max_tokens": 9, "messages": turns(text)}),
    "messages parts": (
        "anthropic_messages",
        lambda text: {"model": "m", "max_tokens": 9, "system": "Be brief.", "messages": turns("", parts(text))},
    ),
    "gemini": ("gemini", lambda text: {"contents": [{"role": "user", "parts": [{"text": text}]}]}),
    "ollama": ("ollama_chat", lambda text: {"model": "m", "messages": turns(text)}),
    "responses": ("openai_responses", lambda text: {"model": "m", "input": text, "store": False}),
    "responses items": (
        "openai_responses",
        lambda text: {
            "model": "m",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}],
            "store": False,
        },
    ),
}


def partition(kind: str, text: str, *, tenant: str = "t", **members: Any) -> bytes | None:
    name, build = REQUESTS[kind]
    endpoint = ENDPOINTS[name]
    context = RequestContext(model="m") if name == "gemini" else RequestContext()
    call = endpoint.decode_request(json.dumps({**build(text), **members}).encode(), context)
    conversation = endpoint.conversation(call)
    assert conversation is not None
    turn = last_turn_of(conversation)
    assert turn is not None
    return CacheKeys(names_requested_model=False).partition_of(tenant, endpoint, call, MODEL, turn.text)


@pytest.mark.parametrize("kind", REQUESTS)
def test_last_turn_is_not_part_of_the_key(kind: str) -> None:
    assert partition(kind, ONE) is not None
    assert partition(kind, ONE) == partition(kind, OTHER)


@pytest.mark.parametrize("kind", REQUESTS)
def test_everything_else_is_part_of_the_key(kind: str) -> None:
    keys = {partition(kind, ONE), partition(kind, ONE, tenant="other"), partition(kind, ONE, another=1)}
    assert len(keys) == 3


def test_history_and_system_prompt_are_part_of_the_key() -> None:
    longer = [{"role": "system", "content": "Be brief."}, *turns(ONE)]
    shorter = turns(ONE)[2:]
    keys = {partition("chat", ONE), *(partition("chat", ONE, messages=each) for each in (longer, shorter))}
    assert len(keys) == 3


def test_number_and_other_members_of_parts_are_part_of_the_key() -> None:
    marked = [{**parts(ONE)[0], "cache_control": {"type": "ephemeral"}}, parts(ONE)[1]]
    keys = {
        partition("messages parts", ONE),
        partition("messages parts", ONE, messages=turns("", marked)),
        partition("messages parts", ONE, messages=turns("", parts(ONE)[:1])),
    }
    assert len(keys) == 3


def test_members_that_say_who_asks_are_not_part_of_the_key() -> None:
    assert partition("chat", ONE, user="someone") == partition("chat", ONE)


@pytest.mark.parametrize(
    ("body", "last_turn"),
    [
        (b'{"messages":[{"role":"user","content":"x","content":"a"}]}', "a"),
        (b'{"messages":[{"role":"user","content":"a"}],"x\\u003a":1}', "a"),
        (b'{"messages":[{"role":"user","content":"a"}]}', "b"),
        (b'{"messages":[{"role":"user","content":"a"}],"input":"a"}', "a"),
        (b'{"messages":[],"prompt":"a"}', "a"),
        (b'{"prompt":"a"}', "a"),
        (b'["a"]', "a"),
        (b"{", "a"),
    ],
)
def test_bodies_without_a_comparable_last_turn_have_no_key(body: bytes, last_turn: str) -> None:
    assert body_without_last_turn(body, "openai_chat", last_turn) is None
