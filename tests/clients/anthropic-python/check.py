"""The official `anthropic` package: messages, streams, tools, thinking, token counts, models."""

import asyncio
import json
import time
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

from tests.support.clients.checks import (
    PARIS_AND_OSLO,
    PERSON_SCHEMA,
    RED_PIXEL,
    WEATHER_SCHEMA,
    Case,
    check,
    raises,
    run,
    until,
)

WEATHER: Any = {"name": "weather", "description": "The weather of a city.", "input_schema": WEATHER_SCHEMA}


class Person(BaseModel):
    name: str
    age: int


def client(case: Case, **settings: Any) -> Anthropic:
    return Anthropic(**{"base_url": case.url, "api_key": case.key, "max_retries": 0, "timeout": 10, **settings})


def asked(case: Case, text: Any = "hello", magic: str = "", **members: Any) -> Any:
    model = case.magic(magic) if magic else case.model
    return {"model": model, "max_tokens": 2000, "messages": [{"role": "user", "content": text}], **members}


def tool_uses(message: Any) -> list[Any]:
    return [block for block in message.content if block.type == "tool_use"]


@check
def message_is_answered(case: Case) -> None:
    message = client(case).messages.create(**asked(case))
    assert message.type == "message"
    assert message.role == "assistant"
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].text == "mock-large: hello"
    assert message.stop_reason == "end_turn"
    assert message.id
    assert message._request_id


@check
def bearer_is_a_key_too(case: Case) -> None:
    with_token = Anthropic(base_url=case.url, auth_token=case.key, max_retries=0, timeout=10)
    assert with_token.messages.create(**asked(case)).content[0].text == "mock-large: hello"


@check
def message_streams(case: Case) -> None:
    events = list(client(case).messages.create(**asked(case), stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == "mock-large: hello"
    assert events[-2].delta.stop_reason == "end_turn"


@check
def silent_stream_is_complete(case: Case) -> None:
    with client(case).messages.stream(**asked(case, "one two", magic="pausing")) as stream:
        assert "".join(stream.text_stream) == "pausing: one two"
        assert stream.get_final_message().stop_reason == "end_turn"
    kinds = [event.type for event in client(case).messages.create(**asked(case, magic="pausing"), stream=True)]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


@check
def stream_comes_in_pieces(case: Case) -> None:
    with client(case).messages.stream(**asked(case, magic="gen-400")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 100
    assert final.usage.output_tokens == 400
    assert final.usage.input_tokens > 0


@check
def input_tokens_are_known_at_the_start(case: Case) -> None:
    """Claude Code decides by them when to compact."""
    events = client(case).messages.create(**asked(case, text="word " * 300), stream=True)
    first = next(iter(events))
    assert first.message.usage.input_tokens > 50


@check
def usage_is_counted(case: Case) -> None:
    usage = client(case).messages.create(**asked(case, magic="gen-400")).usage
    assert usage.output_tokens == 400
    assert usage.input_tokens > 0


@check
def max_tokens_ends_with_max_tokens(case: Case) -> None:
    message = client(case).messages.create(**asked(case, magic="gen-400", max_tokens=20))
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 20


@check(without=["via-responses"])
def stop_sequences_cut(case: Case) -> None:
    message = client(case).messages.create(**asked(case, "one two three", stop_sequences=["two"]))
    assert message.content[0].text.strip() == "mock-large: one"
    assert message.stop_reason in {"stop_sequence", "end_turn"}  # other vendors do not say which it was


@check
def system_blocks_and_turns_are_taken(case: Case) -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [{"type": "text", "text": "noted"}]},
        {"role": "user", "content": [{"type": "text", "text": "second", "cache_control": {"type": "ephemeral"}}]},
    ]
    system = [
        {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "k"},
    ]
    message = client(case).messages.create(**asked(case, system=system, messages=turns))
    assert message.content[0].text == "mock-large: second"
    assert "be brief" in case.requests("mock-large")[-1]["body"]


@check
def unicode_survives(case: Case) -> None:
    text = 'žluťoučký kůň 漢字 \U0001f9d1\u200d\U0001f680 \\ " \n end'
    assert client(case).messages.create(**asked(case, text)).content[0].text == f"mock-large: {text}"
    with client(case).messages.stream(**asked(case, text)) as stream:
        assert stream.get_final_text() == f"mock-large: {text}"


@check
def tools_are_called_in_parallel(case: Case) -> None:
    message = client(case).messages.create(**asked(case, PARIS_AND_OSLO, tools=[WEATHER]))
    assert message.stop_reason == "tool_use"
    calls = tool_uses(message)
    assert [(call.name, call.input) for call in calls] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Oslo"}),
    ]
    assert len({call.id for call in calls}) == 2


@check
def tools_are_called_in_a_stream(case: Case) -> None:
    with client(case).messages.stream(**asked(case, PARIS_AND_OSLO, tools=[WEATHER])) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    assert [call.input for call in tool_uses(message)] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert "input_json" in kinds


@check
def tool_results_are_taken(case: Case) -> None:
    first = client(case).messages.create(**asked(case, PARIS_AND_OSLO, tools=[WEATHER]))
    calls = tool_uses(first)
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "sunny"},
        {
            "type": "tool_result",
            "tool_use_id": calls[1].id,
            "content": [{"type": "text", "text": "no idea"}],
            "is_error": True,
            "cache_control": {"type": "ephemeral"},
        },
    ]
    turns = [
        {"role": "user", "content": PARIS_AND_OSLO},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    message = client(case).messages.create(**asked(case, messages=turns, tools=[WEATHER]))
    assert message.stop_reason == "end_turn"
    assert "no idea" in message.content[0].text
    turns[2]["content"] = [*results, {"type": "text", "text": "and now?"}]
    again = client(case).messages.create(**asked(case, messages=turns, tools=[WEATHER]))
    assert again.content[0].text == "mock-large: and now?"


@check(without=["via-ollama"])
def tool_choice_is_obeyed(case: Case) -> None:
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        message = client(case).messages.create(**asked(case, tools=[WEATHER], tool_choice=choice))
        assert [call.name for call in tool_uses(message)] == ["weather"], choice
        assert isinstance(tool_uses(message)[0].input["city"], str)
    none = client(case).messages.create(**asked(case, PARIS_AND_OSLO, tools=[WEATHER], tool_choice={"type": "none"}))
    assert tool_uses(none) == []


@check(only=["via-openai", "via-responses", "via-anthropic"])
def parallel_calls_can_be_forbidden(case: Case) -> None:
    one = client(case).messages.create(
        **asked(case, PARIS_AND_OSLO, tools=[WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    )
    assert len(tool_uses(one)) == 1


@check
def structured_output_is_parsed(case: Case) -> None:
    message = client(case).messages.parse(**asked(case, "a person"), output_format=Person)
    assert isinstance(message.parsed_output, Person)


@check
def structured_output_by_schema(case: Case) -> None:
    config = {"format": {"type": "json_schema", "schema": PERSON_SCHEMA}}
    message = client(case).messages.create(**asked(case, "a person", output_config=config))
    Person.model_validate_json(message.content[0].text)


@check
def pictures_reach_the_upstream(case: Case) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": RED_PIXEL}}
    message = client(case).messages.create(**asked(case, [{"type": "text", "text": "what is this?"}, picture]))
    assert message.content[0].text.startswith("mock-large: what is this?")
    assert RED_PIXEL[:40] in case.requests("mock-large")[-1]["body"]


@check
def thoughts_come_first_and_go_back(case: Case) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}
    message = client(case).messages.create(**asked(case, magic="think", thinking=thinking, max_tokens=4000))
    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "text"]
    assert message.content[0].thinking
    turns = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": "again"},
    ]
    again = client(case).messages.create(
        **asked(case, magic="think", messages=turns, thinking=thinking, max_tokens=4000)
    )
    assert again.content[-1].text == "think: again"


@check
def thoughts_stream(case: Case) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}
    with client(case).messages.stream(**asked(case, magic="think", thinking=thinking, max_tokens=4000)) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_message()
    assert "thinking" in kinds
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[1].text == "think: hello"


@check
def beta_client_with_what_claude_code_sends(case: Case) -> None:
    """`?beta=true`, flags, members that other vendors lack, and a system message among the messages."""
    turns = [
        {"role": "user", "content": "hello"},
        {"role": "system", "content": "a reminder"},
    ]
    message = client(case).beta.messages.create(
        model=case.model,
        max_tokens=4000,
        messages=turns,
        metadata={"user_id": json.dumps({"device": "d"})},
        betas=["context-management-2025-06-27", "interleaved-thinking-2025-05-14"],
        extra_body={"output_config": {"effort": "low"}, "context_management": {"edits": []}},
    )
    assert message.content[-1].text.startswith("mock-large:")


@check
def temperature_is_still_taken(case: Case) -> None:
    message = client(case).messages.create(**asked(case, extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 10}))
    assert message.content[0].text == "mock-large: hello"


@check
def tokens_are_counted(case: Case) -> None:
    """Without answering; more text is more tokens, and pictures and tools count too."""
    count = client(case).messages.count_tokens
    turns: Any = [{"role": "user", "content": "hello"}]
    short = count(model=case.model, messages=turns).input_tokens
    assert short > 0
    long = count(model=case.model, messages=[{"role": "user", "content": "hello " * 500}]).input_tokens
    assert long > short + 200
    assert count(model=case.model, messages=turns, system="be brief", tools=[WEATHER]).input_tokens > short
    beta = client(case).beta.messages.count_tokens(model=case.model, messages=turns)
    assert beta.input_tokens > 0


@check
def models_are_listed(case: Case) -> None:
    models = list(client(case).models.list(limit=1000))
    assert case.model in [model.id for model in models]
    assert {model.type for model in models} == {"model"}
    assert client(case).models.retrieve(case.model).id == case.model


@check
def wrong_key_is_401(case: Case) -> None:
    with raises(anthropic.AuthenticationError) as caught:
        client(case, api_key="sk-wrong").messages.create(**asked(case))
    assert caught[0].body["type"] == "error"
    assert caught[0].body["error"]["type"] == "authentication_error"
    assert caught[0].request_id


@check
def unknown_model_is_404(case: Case) -> None:
    for model in ("never-heard-of", case.magic("no-such-model")):
        with raises(anthropic.NotFoundError) as caught:
            client(case).messages.create(**{**asked(case), "model": model})
        assert caught[0].body["error"]["type"] == "not_found_error", model


@check
def bad_request_is_400(case: Case) -> None:
    for stream in (False, True):
        with raises(anthropic.BadRequestError) as caught:
            client(case).messages.create(**asked(case, magic="error-400"), stream=stream)
        assert caught[0].body["error"]["type"] == "invalid_request_error"
        assert "refuses every request" in caught[0].body["error"]["message"]
    with raises(anthropic.BadRequestError):
        client(case).messages.create(**asked(case, messages=[]))


@check
def rate_limit_is_429_with_retry_after(case: Case) -> None:
    started = time.monotonic()
    with raises(anthropic.RateLimitError) as caught:
        client(case, max_retries=1).messages.create(**asked(case, magic="error-429"))
    assert caught[0].response.headers["retry-after"] == "1"
    assert caught[0].body["error"]["type"] == "rate_limit_error"
    assert time.monotonic() - started >= 0.9


@check
def server_errors_are_retried(case: Case) -> None:
    for _ in range(2):  # every second call of this model fails
        message = client(case, max_retries=2).messages.create(**asked(case, magic="flaky"))
        assert message.content[0].text == "flaky: hello"
    with raises(anthropic.InternalServerError):
        client(case).messages.create(**asked(case, magic="error-503"))


@check
def timeout_of_the_client(case: Case) -> None:
    with raises(anthropic.APITimeoutError):
        client(case, timeout=0.5).messages.create(**asked(case, magic="hang"))
    until(lambda: case.requests("hang")[-1]["is_aborted"], "the upstream's request is given up")


@check
def broken_stream_is_an_error(case: Case) -> None:
    with raises(anthropic.APIError):
        for _ in client(case).messages.create(**asked(case, "a b c d e f g h", magic="drop"), stream=True):
            pass


@check
def leaving_a_stream_cancels_the_upstream(case: Case) -> None:
    with client(case).messages.stream(**asked(case, "word " * 500, magic="dripping")) as stream:
        next(iter(stream.text_stream))
    until(lambda: case.requests("dripping")[-1]["is_aborted"], "the upstream's stream is given up")


@check
async def asynchronous_client(case: Case) -> None:
    async with AsyncAnthropic(base_url=case.url, api_key=case.key, max_retries=0, timeout=10) as client:

        async def one(number: int) -> str:
            if number % 2:
                return str((await client.messages.create(**asked(case, f"number {number}"))).content[0].text)
            async with client.messages.stream(**asked(case, f"number {number}")) as stream:
                return await stream.get_final_text()

        texts = await asyncio.gather(*map(one, range(12)))
    assert texts == [f"mock-large: number {number}" for number in range(12)]


if __name__ == "__main__":
    run()
