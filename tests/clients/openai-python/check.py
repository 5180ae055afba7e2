"""The official `openai` package: chat completions, embeddings, models."""

import asyncio
import base64
import json
import time
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
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

WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": WEATHER_SCHEMA}}


class Person(BaseModel):
    name: str
    age: int


def client(case: Case, **settings: Any) -> OpenAI:
    return OpenAI(**{"base_url": case.base_url, "api_key": case.key, "max_retries": 0, "timeout": 10, **settings})


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def collected(chunks: Any) -> tuple[str, list[str], dict[int, list[str]], list[Any]]:
    """Return text, finish reasons, tool calls by index (id, name, arguments), and usages of a stream."""
    text, finishes, usages = "", [], []
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        usages += [chunk.usage] if chunk.usage else []
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finishes += [choice.finish_reason] if choice.finish_reason else []
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, ["", "", ""])
                call[0] += piece.id or ""
                call[1] += piece.function.name or ""
                call[2] += piece.function.arguments or ""
    return text, finishes, calls, usages


@check
def chat_answers(case: Case) -> None:
    answer = client(case).chat.completions.create(model=case.model, messages=said("hello"))
    assert answer.choices[0].message.content == "mock-large: hello"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model in (case.model, "mock-large")  # a relayed answer keeps the upstream's name
    assert answer.object == "chat.completion"
    assert answer.created > 1_600_000_000
    assert answer._request_id


@check
def chat_streams(case: Case) -> None:
    stream = client(case).chat.completions.create(model=case.model, messages=said("hello"), stream=True)
    chunks = list(stream)
    text, finishes, _, usages = collected(chunks)
    assert text == "mock-large: hello"
    assert finishes == ["stop"]
    assert usages == []  # it was not asked for
    assert len({chunk.id for chunk in chunks}) == 1
    assert len({chunk.model for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"


@check
def silent_stream_is_complete(case: Case) -> None:
    stream = client(case).chat.completions.create(model=case.magic("pausing"), messages=said("one two"), stream=True)
    text, finishes, _, _ = collected(stream)
    assert (text, finishes) == ("pausing: one two", ["stop"])


@check
def stream_comes_in_pieces(case: Case) -> None:
    stream = client(case).chat.completions.create(model=case.magic("gen-400"), messages=said("go"), stream=True)
    assert sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content) > 100


@check
def usage_is_counted(case: Case) -> None:
    plain = client(case).chat.completions.create(model=case.magic("gen-400"), messages=said("hello world")).usage
    assert plain.completion_tokens == 400
    assert plain.prompt_tokens > 0
    assert plain.total_tokens == plain.prompt_tokens + plain.completion_tokens
    chunks = list(
        client(case).chat.completions.create(
            model=case.magic("gen-400"),
            messages=said("hello world"),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert [chunk.choices for chunk in chunks if chunk.usage] == [[]]
    streamed = chunks[-1].usage
    assert (streamed.prompt_tokens, streamed.completion_tokens) == (plain.prompt_tokens, plain.completion_tokens)


@check
def max_tokens_ends_with_length(case: Case) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = client(case).chat.completions.create(model=case.magic("gen-400"), messages=said("hello"), **{name: 20})
        assert answer.choices[0].finish_reason == "length", name
        assert answer.usage.completion_tokens == 20


@check(only=["via-responses"])
def stop_sequences_are_reported_where_there_are_none(case: Case) -> None:
    answer = client(case).chat.completions.with_raw_response.create(
        model=case.model, messages=said("one two three"), stop=["two"]
    )
    assert "stop" in answer.headers["x-intellirouter-dropped"]


@check(only=["via-ollama"])
def tools_can_be_forced_but_not_with_a_format(case: Case) -> None:
    create = client(case).chat.completions.create
    clock: Any = {"type": "function", "function": {"name": "clock", "parameters": WEATHER_SCHEMA}}
    for tools in ([WEATHER], [WEATHER, clock]):
        answer = create(model=case.model, messages=said("hello"), tools=tools, tool_choice="required")
        assert answer.choices[0].message.tool_calls[0].function.name in {"weather", "clock"}
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": WEATHER_SCHEMA}}
    with raises(openai.BadRequestError) as caught:
        create(model=case.model, messages=said("hello"), tools=[WEATHER], tool_choice="required", response_format=form)
    assert (caught[0].code, caught[0].param) == ("unsupported_feature", "tool_choice")


@check(without=["via-responses"])
def stop_sequences_cut(case: Case) -> None:
    answer = client(case).chat.completions.create(model=case.model, messages=said("one two three"), stop=["two"])
    assert answer.choices[0].message.content.strip() == "mock-large: one"
    assert answer.choices[0].finish_reason == "stop"


@check
def every_role_is_taken(case: Case) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": [{"type": "text", "text": "be kind"}]},
        {"role": "user", "content": "first", "name": "ann"},
        {"role": "assistant", "content": "noted"},
        {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "text", "text": " part"}]},
    ]
    answer = client(case).chat.completions.create(model=case.model, messages=messages)
    assert answer.choices[0].message.content.startswith("mock-large: second")


@check
def system_only_is_answered(case: Case) -> None:
    messages: list[Any] = [{"role": "system", "content": "hello"}]
    answer = client(case).chat.completions.create(model=case.model, messages=messages)
    assert answer.choices[0].message.content.startswith("mock-large:")


@check
def unicode_survives(case: Case) -> None:
    text = 'žluťoučký kůň 漢字 \U0001f9d1\u200d\U0001f680 \\ " \n end'
    answer = client(case).chat.completions.create(model=case.model, messages=said(text))
    assert answer.choices[0].message.content == f"mock-large: {text}"
    streamed = client(case).chat.completions.create(model=case.model, messages=said(text), stream=True)
    assert collected(streamed)[0] == f"mock-large: {text}"


@check
def tools_are_called_in_parallel(case: Case) -> None:
    answer = client(case).chat.completions.create(model=case.model, messages=said(PARIS_AND_OSLO), tools=[WEATHER])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "weather"]
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert len({call.id for call in calls}) == 2
    assert not choice.message.content


@check
def tools_are_called_in_a_stream(case: Case) -> None:
    stream = client(case).chat.completions.create(
        model=case.model, messages=said(PARIS_AND_OSLO), tools=[WEATHER], stream=True
    )
    _, finishes, calls, _ = collected(stream)
    assert finishes == ["tool_calls"]
    assert sorted(calls) == [0, 1]
    assert [json.loads(calls[index][2]) for index in (0, 1)] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert all(calls[index][0] and calls[index][1] == "weather" for index in (0, 1))


@check
def tool_results_are_taken(case: Case) -> None:
    messages = said(PARIS_AND_OSLO)
    asked = client(case).chat.completions.create(model=case.model, messages=messages, tools=[WEATHER])
    message = asked.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"sunny {n}"} for n, call in enumerate(message.tool_calls)
    ]
    answer = client(case).chat.completions.create(
        model=case.model, messages=[*messages, message, *results, *said("and now?")], tools=[WEATHER]
    )
    assert answer.choices[0].message.content == "mock-large: and now?"
    ended = client(case).chat.completions.create(
        model=case.model, messages=[*messages, message, *results], tools=[WEATHER]
    )
    assert ended.choices[0].finish_reason == "stop"
    assert ended.choices[0].message.content


@check(without=["via-ollama"])
def tool_choice_is_obeyed(case: Case) -> None:
    named: Any = {"type": "function", "function": {"name": "weather"}}
    create = client(case).chat.completions.create
    for choice in ("required", named):
        answer = create(model=case.model, messages=said("hello"), tools=[WEATHER], tool_choice=choice)
        assert [call.function.name for call in answer.choices[0].message.tool_calls or []] == ["weather"], choice
        assert isinstance(json.loads(answer.choices[0].message.tool_calls[0].function.arguments)["city"], str)
    answer = create(model=case.model, messages=said(PARIS_AND_OSLO), tools=[WEATHER], tool_choice="none")
    assert not answer.choices[0].message.tool_calls


@check
def parallel_calls_can_be_forbidden(case: Case) -> None:
    """Or the answer says that this upstream knows no such thing."""
    answer = client(case).chat.completions.with_raw_response.create(
        model=case.model, messages=said(PARIS_AND_OSLO), tools=[WEATHER], parallel_tool_calls=False
    )
    is_said = "parallel_tool_calls" in answer.headers.get("x-intellirouter-dropped", "")
    assert len(answer.parse().choices[0].message.tool_calls) == 1 or is_said


@check
def tool_runner_with_strict_pydantic_tool(case: Case) -> None:
    tool = openai.pydantic_function_tool(Person, name="person")
    with client(case).chat.completions.stream(
        model=case.model, messages=said('call person with {"name": "Ann", "age": 30}'), tools=[tool]
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    parsed = final.choices[0].message.tool_calls[0].function.parsed_arguments
    assert parsed == Person(name="Ann", age=30)


@check
def structured_output_is_parsed(case: Case) -> None:
    answer = client(case).chat.completions.parse(model=case.model, messages=said("a person"), response_format=Person)
    assert isinstance(answer.choices[0].message.parsed, Person)


@check
def structured_output_streams(case: Case) -> None:
    schema: Any = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON_SCHEMA}}
    stream = client(case).chat.completions.create(
        model=case.model, messages=said("a person"), response_format=schema, stream=True
    )
    Person.model_validate_json(collected(stream)[0])


@check(only=["via-anthropic"])
def json_mode_is_guarded_where_it_is_emulated(case: Case) -> None:
    """The vendor has no such mode: the model is told so, and what is no JSON is not handed on."""
    with raises(openai.InternalServerError) as caught:
        client(case).chat.completions.create(
            model=case.model, messages=said("Answer in JSON."), response_format={"type": "json_object"}
        )
    assert "JSON" in caught[0].message


@check(only=["via-openai", "via-responses", "via-gemini", "via-ollama"])
def json_mode_gives_an_object(case: Case) -> None:
    answer = client(case).chat.completions.create(
        model=case.model, messages=said("Answer in JSON."), response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


@check
def images_reach_the_upstream(case: Case) -> None:
    content: Any = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{RED_PIXEL}", "detail": "low"}},
    ]
    answer = client(case).chat.completions.create(model=case.model, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content.startswith("mock-large: what is this?")
    body = case.requests("mock-large")[-1]["body"]
    assert RED_PIXEL[:40] in body


@check
def tuning_is_taken_or_reported(case: Case) -> None:
    answer = client(case).chat.completions.with_raw_response.create(
        model=case.model,
        messages=said("hello"),
        temperature=0.3,
        top_p=0.9,
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        logit_bias={"50256": -100},
        user="ann",
        metadata={"a": "b"},
        store=False,
    )
    assert answer.parse().choices[0].message.content == "mock-large: hello"
    sent = json.loads(case.requests("mock-large")[-1]["body"])
    dropped = answer.headers.get("x-intellirouter-dropped", "")
    for name in ("seed", "logit_bias"):
        assert name in json.dumps(sent) or name in dropped, f"{name}: neither sent nor reported ({dropped})"


@check(only=["via-openai"])
def several_choices_and_logprobs(case: Case) -> None:
    answer = client(case).chat.completions.create(
        model=case.model, messages=said("hello"), n=2, logprobs=True, top_logprobs=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].logprobs.content[0].token


@check
def reasoning_effort_is_taken(case: Case) -> None:
    answer = client(case).chat.completions.create(
        model=case.model, messages=said("hello"), reasoning_effort="low", max_completion_tokens=4000
    )
    assert answer.choices[0].message.content.endswith("hello")


@check
def thoughts_are_shown(case: Case) -> None:
    asked: Any = {"model": case.magic("think"), "messages": said("hello")}
    asked["extra_body"] = {"reasoning": {"effort": "low", "exclude": False}}
    answer = client(case).chat.completions.create(**asked)
    assert answer.choices[0].message.reasoning_content
    assert answer.choices[0].message.content == "think: hello"
    stream = client(case).chat.completions.create(**asked, stream=True)
    deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
    assert any(getattr(delta, "reasoning_content", None) for delta in deltas)
    assert "".join(delta.content or "" for delta in deltas) == "think: hello"


@check(only=["via-openai", "via-gemini", "via-ollama"])
def embeddings_default_to_base64(case: Case) -> None:
    """The SDK asks for base64 unless told otherwise, and decodes it itself."""
    texts = ["the quick brown fox", "the quick brown dog", "unrelated"]
    default = client(case).embeddings.create(model=case.magic("embed"), input=texts)
    floats = client(case).embeddings.create(model=case.magic("embed"), input=texts, encoding_format="float")
    raw = client(case).embeddings.create(model=case.magic("embed"), input=texts, encoding_format="base64")
    assert [row.index for row in default.data] == [0, 1, 2]
    for one, other in zip(default.data, floats.data, strict=True):
        assert len(one.embedding) == len(other.embedding) > 0
        assert all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding, strict=True))
    assert len(base64.b64decode(raw.data[0].embedding)) == 4 * len(floats.data[0].embedding)
    assert default.usage.total_tokens > 0 or case.upstream == "via-gemini"  # which counts nothing here


@check
def models_are_listed(case: Case) -> None:
    names = [model.id for model in client(case).models.list()]
    assert case.model in names
    assert client(case).models.retrieve(case.model).id == case.model


@check
def wrong_key_is_401(case: Case) -> None:
    with raises(openai.AuthenticationError) as caught:
        client(case, api_key="sk-wrong").chat.completions.create(model=case.model, messages=said("hello"))
    assert caught[0].status_code == 401
    assert caught[0].code == "invalid_api_key"
    assert caught[0].request_id


@check
def unknown_model_is_404(case: Case) -> None:
    for name in ("never-heard-of", case.magic("no-such-model")):
        with raises(openai.NotFoundError) as caught:
            client(case).chat.completions.create(model=name, messages=said("hello"))
        assert caught[0].code == "model_not_found", name
        assert caught[0].message


@check
def bad_request_is_400(case: Case) -> None:
    for stream in (False, True):
        with raises(openai.BadRequestError) as caught:
            client(case).chat.completions.create(model=case.magic("error-400"), messages=said("hello"), stream=stream)
        assert "refuses every request" in caught[0].message
    with raises(openai.BadRequestError) as caught:
        client(case).chat.completions.create(model=case.model, messages=[])
    assert caught[0].param == "messages"


@check
def rate_limit_is_429_with_retry_after(case: Case) -> None:
    for stream in (False, True):
        with raises(openai.RateLimitError) as caught:
            client(case).chat.completions.create(model=case.magic("error-429"), messages=said("hi"), stream=stream)
        assert caught[0].response.headers["retry-after"] == "1"


@check
def client_waits_and_retries_after_429(case: Case) -> None:
    started = time.monotonic()
    before = len(case.requests("error-429"))
    with raises(openai.RateLimitError):
        client(case, max_retries=1).chat.completions.create(model=case.magic("error-429"), messages=said("hello"))
    assert time.monotonic() - started >= 0.9
    assert len(case.requests("error-429")) - before == 2


@check
def server_errors_are_retried(case: Case) -> None:
    patient = client(case, max_retries=2)
    for _ in range(2):  # every second call of this model fails
        answer = patient.chat.completions.create(model=case.magic("flaky"), messages=said("hello"))
        assert answer.choices[0].message.content == "flaky: hello"
    with raises(openai.InternalServerError):
        client(case).chat.completions.create(model=case.magic("error-503"), messages=said("hello"))


@check
def timeout_of_the_client(case: Case) -> None:
    with raises(openai.APITimeoutError):
        client(case, timeout=0.5).chat.completions.create(model=case.magic("hang"), messages=said("hello"))
    until(lambda: case.requests("hang")[-1]["is_aborted"], "the upstream's request is given up")


@check
def broken_stream_is_an_error(case: Case) -> None:
    with raises(openai.APIError):
        for _ in client(case).chat.completions.create(
            model=case.magic("drop"), messages=said("a b c d e f"), stream=True
        ):
            pass


@check
def leaving_a_stream_cancels_the_upstream(case: Case) -> None:
    text = "word " * 500
    stream = client(case).chat.completions.create(model=case.magic("dripping"), messages=said(text), stream=True)
    next(iter(stream))
    stream.close()
    until(lambda: case.requests("dripping")[-1]["is_aborted"], "the upstream's stream is given up")


@check
async def asynchronous_client(case: Case) -> None:
    async with AsyncOpenAI(base_url=case.base_url, api_key=case.key, max_retries=0, timeout=10) as client:

        async def one(number: int) -> str:
            messages = said(f"number {number}")
            if number % 2:
                answer = await client.chat.completions.create(model=case.model, messages=messages)
                return str(answer.choices[0].message.content)
            stream = await client.chat.completions.create(model=case.model, messages=messages, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

        texts = await asyncio.gather(*map(one, range(12)))
    assert texts == [f"mock-large: number {number}" for number in range(12)]


if __name__ == "__main__":
    run()
