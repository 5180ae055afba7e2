"""Unusual but real answers of vendors, through a running gateway and OpenAI's client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.gateway.process import GatewayProcess
from tests.support.slow_answers.upstream import ScriptedUpstream

TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_a", "get_b")
]
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]


class World:
    def __init__(self, upstream: ScriptedUpstream, gateway: GatewayProcess) -> None:
        self.upstream = upstream
        self.client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-any", max_retries=0, timeout=20)

    def answers(self, document: dict[str, Any]) -> None:
        self.upstream.answer = json.dumps(document).encode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ScriptedUpstream() as upstream:
        providers = {
            "any": {"vendor": "openai-compatible", "base_url": f"{upstream.url}/v1", "credentials": [], "models": "*"},
            "lama": {"vendor": "ollama", "base_url": upstream.url, "models": "*"},
        }
        directory: Path = tmp_path_factory.mktemp("vendors")
        with GatewayProcess({"defaults": {"retries": 0}, "providers": providers}, directory) as gateway:
            yield World(upstream, gateway)


def test_parallel_calls_with_the_same_index_are_two_calls(world: World) -> None:
    chunks = [
        {"tool_calls": [{"index": 0, "id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}]}
        for name in ("get_a", "get_b")
    ]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in chunks]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [json.dumps({**head, "choices": [choice]}) for choice in choices]
    world.upstream.answer = "".join(f"data: {event}\n\n" for event in ["", *events, "[DONE]"]).encode()
    with world.client.chat.completions.stream(model="any/m", messages=MESSAGES, tools=TOOLS) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls or ()] == [("get_a", "{}"), ("get_b", "{}")]


def test_arguments_of_a_complete_answer_are_text(world: World) -> None:
    message = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "get_a", "arguments": {"x": 1}}}]}
    world.answers({"id": 7, "object": None, "created": 1.5, "choices": [{"message": message, "finish_reason": "stop"}]})
    answer = world.client.chat.completions.create(model="any/m", messages=MESSAGES, tools=TOOLS)
    [call] = answer.choices[0].message.tool_calls or ()
    assert isinstance(call.function.arguments, str)
    assert json.loads(call.function.arguments) == {"x": 1}
    assert isinstance(answer.id, str)
    assert isinstance(answer.created, int)


@pytest.mark.parametrize("stream", [False, True])
def test_one_of_several_tools_is_forced_over_ollama(world: World, stream: bool) -> None:
    call = '{"name": "get_b", "arguments": {"x": 1}}'
    lines: list[dict[str, Any]] = [{"message": {"content": call}, "done": True, "done_reason": "stop"}]
    if stream:
        lines = [{"message": {"content": each}, "done": False} for each in call]
        lines.append({"message": {"content": ""}, "done": True, "done_reason": "stop"})
    world.upstream.answer = "".join(json.dumps({"model": "m", **line}) + "\n" for line in lines).encode()
    settings: dict[str, Any] = {"model": "lama/m", "messages": MESSAGES, "tools": TOOLS, "tool_choice": "required"}
    if stream:
        with world.client.chat.completions.stream(**settings) as opened:
            answer: Any = opened.get_final_completion()
    else:
        answer = world.client.chat.completions.create(**settings)
    assert answer.choices[0].finish_reason == "tool_calls"
    [found] = answer.choices[0].message.tool_calls
    assert (found.function.name, json.loads(found.function.arguments)) == ("get_b", {"x": 1})


@pytest.mark.parametrize(
    ("code", "error"),
    [(1002, openai.RateLimitError), (2013, openai.BadRequestError), (1026, openai.BadRequestError)],
)
def test_errors_that_minimax_reports_with_status_200(
    world: World, code: int, error: type[openai.APIStatusError]
) -> None:
    world.answers({"base_resp": {"status_code": code, "status_msg": "it broke"}})
    for stream in (False, True):
        with pytest.raises(error, match="it broke"):
            world.client.chat.completions.create(model=f"any/m{code}", messages=MESSAGES, stream=stream)


def test_usage_of_zeros_is_estimated_for_clients_that_need_one(world: World) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello there"}, "finish_reason": "stop"}
    world.answers({"id": "c", "choices": [choice], "usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    usage = world.client.responses.create(model="any/m", input="hi").usage
    assert usage is not None
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


def test_missing_vectors_are_an_error(world: World) -> None:
    world.answers({"object": "list", "data": [{"index": 0, "embedding": [0.5]}]})
    with pytest.raises(openai.InternalServerError, match="1 vectors for 2 inputs"):
        world.client.embeddings.create(model="any/e", input=["a", "b"], encoding_format="float")
