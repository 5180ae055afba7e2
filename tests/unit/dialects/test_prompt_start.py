"""To which session a request belongs, in all dialects."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import EMPTY_CONTEXT, Call
from intellirouter.dialects import PromptStart, prompt_start_of
from tests.support.dialects.standard import ENDPOINTS

LONG = "You are a careful assistant. " * 200
"""Longer than 1024 tokens."""


def start(
    dialect: str = "openai_chat", *, operation: Any = "chat", prompts: bool = True, **body: Any
) -> PromptStart | None:
    encoded = json.dumps(body).encode()
    call = Call(operation=operation, model="m", body=encoded, dialect=dialect)
    return prompt_start_of(call, recognizes_prompts=prompts)


def chat(*turns: dict[str, Any], prompts: bool = True, **body: Any) -> PromptStart | None:
    """Return the start of a chat completion that its own codec has decoded."""
    document = json.dumps({"model": "m", "messages": turns, **body}).encode()
    call = ENDPOINTS["openai_chat"].decode_request(document, EMPTY_CONTEXT)
    return prompt_start_of(call, recognizes_prompts=prompts)


def turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


@pytest.mark.parametrize(
    ("body", "session"),
    [
        ({"prompt_cache_key": "k1"}, "k1"),
        ({"metadata": {"session_id": "s1"}}, "s1"),
        ({"metadata": {"user_id": "user_1_account__session_2"}}, "user_1_account__session_2"),
        ({"conversation": "conv_1", "prompt_cache_key": "k1"}, "conv_1"),
        ({"conversation": {"id": "conv_1"}}, "conv_1"),
        ({"prompt_cache_key": "k1", "metadata": {"session_id": "s1"}}, "k1"),
        ({"prompt_cache_key": "x" * 1000}, "x" * 512),
    ],
)
def test_session_that_the_client_names(body: dict[str, Any], session: str) -> None:
    assert start("openai_responses", input="hi", **body) == PromptStart(session)
    assert start("openai_responses", input=LONG, **body) == PromptStart(session)
    assert start("openai_responses", input="hi", prompts=False, **body) == PromptStart(session)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": "session 1"},
        {"safety_identifier": "session 1"},
        {"metadata": {"user_id": "u1"}},
        {"metadata": {"session_id": 5}},
        {"metadata": "session"},
        {"metadata": None, "prompt_cache_key": None, "conversation": None},
        {"prompt_cache_key": 5},
        {"prompt_cache_key": ""},
        {"conversation": {"id": 5}},
    ],
)
def test_short_prompt_without_a_named_session_belongs_to_none(body: dict[str, Any]) -> None:
    assert start("openai_responses", input="hi", **body) is None


def test_long_prompts_are_recognized_only_if_they_should_be() -> None:
    assert start(messages=[turn("user", LONG)]) is not None
    assert start(messages=[turn("user", LONG)], prompts=False) is None
    assert start(messages=[turn("user", LONG)], operation="embeddings") is None
    assert start("openai_responses", prompt_cache_key="k", input="x", operation="count_tokens") is None


SHAPES = [
    ("openai_chat", lambda turns, system: {"messages": [turn("system", system), *turns]}),
    ("anthropic_messages", lambda turns, system: {"system": system, "messages": turns}),
    ("openai_responses", lambda turns, system: {"instructions": system, "input": turns}),
    ("ollama", lambda turns, system: {"messages": [turn("system", system), *turns]}),
    (
        "gemini",
        lambda turns, system: {
            "systemInstruction": {"parts": [{"text": system}]},
            "contents": [{"role": each["role"], "parts": [{"text": each["content"]}]} for each in turns],
        },
    ),
]


@pytest.mark.parametrize(("dialect", "shape"), SHAPES, ids=[name for name, _ in SHAPES])
def test_all_turns_of_a_conversation_belong_together(dialect: str, shape: Any) -> None:
    first = [turn("user", "What is a monad?")]
    later = [*first, turn("assistant", LONG), turn("user", "And a functor?")]
    one, two = start(dialect, **shape(first, LONG)), start(dialect, **shape(later, LONG))
    assert one is not None
    assert (one, one.session) == (two, "")
    assert start(dialect, **shape([turn("user", "What is a comonad?")], LONG)) != one
    assert start(dialect, **shape(first, "Be brief. " + LONG)) != one
    tools = [{"name": "search"}]
    assert start(dialect, **shape(first, LONG), tools=tools) != one
    assert start(dialect, **shape(first, LONG), tools=tools) == start(dialect, **shape(later, LONG), tools=tools)


def test_marks_of_the_prompt_cache_do_not_matter() -> None:
    plain = [{"type": "text", "text": LONG}]
    marked = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    assert start(messages=[{"role": "user", "content": plain}]) == start(messages=[{"role": "user", "content": marked}])


def test_first_turn_of_the_user_is_compared_even_after_a_very_large_system_prompt() -> None:
    system = turn("system", LONG * 20)
    one, two = (start(messages=[system, turn("user", text)]) for text in ("one", "two"))
    assert one is not None
    assert two is not None
    assert one != two


def test_text_input_and_unusual_roles() -> None:
    one = start("openai_responses", input=LONG)
    assert one is not None
    assert one.start[-1] == LONG[:512].encode()
    assert start(messages=[turn("system", LONG)]) is None  # there is no turn of a user
    assert start(messages=[turn("system", LONG)] * 9 + [turn("user", "x")]) is None
    assert start(messages=[{"content": LONG}]) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 5000,
        b"[" * 5000,
        b'{"messages": 5, "x": "' + b"y" * 5000 + b'"}',
        b'{"metadata": {',
        b"[1]" * 2000,
    ],
)
def test_body_that_cannot_be_read_belongs_to_no_session(body: bytes) -> None:
    assert prompt_start_of(Call(operation="chat", model="m", body=body), recognizes_prompts=True) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "role", "content", "id"]), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["messages", "contents", "input", "metadata", "conversation", "system"]), JSON))
def test_nothing_in_a_body_raises_an_error(body: dict[str, Any]) -> None:
    body["padding"] = LONG
    start(**body)


def test_decoded_chat_completions_have_sessions_like_all_others() -> None:
    first = turn("user", "What is a monad?")
    later = (first, turn("assistant", LONG), turn("user", "And a functor?"))
    system, parts = turn("system", LONG), {"role": "system", "content": [{"type": "text", "text": LONG}]}
    one = chat(system, first)
    assert one is not None
    assert (one.session, chat(system, *later), chat(parts, first)) == ("", one, one)
    assert chat(system, turn("user", "What is a comonad?")) != one
    tools = [{"type": "function", "function": {"name": "search"}}]
    assert chat(system, first, tools=tools) not in {None, one}
    assert chat(system, first, prompts=False) is None
    assert chat(system) is None
    assert chat(turn("user", "hi")) is None
    assert chat(*[system] * 9, first) is None
    assert chat(system, {"role": "user", "content": None}) is not None


@pytest.mark.parametrize("prompts", [True, False])
@pytest.mark.parametrize(
    ("members", "session"),
    [
        ({"prompt_cache_key": "k1"}, "k1"),
        ({"metadata": {"session_id": "s1"}}, "s1"),
        ({"prompt_cache_key": "k1", "metadata": {"session_id": "s1"}}, "k1"),
        ({"prompt_cache_key": "x" * 1000}, "x" * 512),
    ],
)
def test_decoded_chat_completions_name_sessions(members: dict[str, Any], session: str, prompts: bool) -> None:
    assert chat(turn("user", "hi"), prompts=prompts, **members) == PromptStart(session)


@pytest.mark.parametrize("members", [{"user": "session"}, {"metadata": 5}, {"prompt_cache_key": {}}, {"metadata": {}}])
def test_decoded_chat_completions_without_a_session(members: dict[str, Any]) -> None:
    assert chat(turn("user", "hi"), **members) is None
