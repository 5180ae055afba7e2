"""The official `ollama` package: chat, generate, embed and the lists of models."""

import asyncio
from typing import Any

import ollama
from ollama import AsyncClient, Client
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


def client(case: Case, **settings: Any) -> Client:
    headers = {"Authorization": f"Bearer {settings.pop('key', case.key)}"}
    return Client(**{"host": case.url, "headers": headers, "timeout": 10, **settings})


def said(text: str, **members: Any) -> list[Any]:
    return [{"role": "user", "content": text, **members}]


@check
def chat_answers(case: Case) -> None:
    answer = client(case).chat(case.model, said("hello"))
    assert answer.message.content == "mock-large: hello"
    assert answer.message.role == "assistant"
    assert answer.done
    assert answer.done_reason == "stop"
    assert answer.prompt_eval_count > 0
    assert answer.eval_count > 0


@check
def chat_streams(case: Case) -> None:
    chunks = list(client(case).chat(case.magic("gen-400"), said("go"), stream=True))
    assert len(chunks) > 100
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].eval_count == 400


@check
def silent_stream_is_complete(case: Case) -> None:
    chunks = list(client(case).chat(case.magic("pausing"), said("one two"), stream=True))
    assert "".join(chunk.message.content for chunk in chunks) == "pausing: one two"
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    texts = [chunk.response for chunk in client(case).generate(case.magic("pausing"), "one two", stream=True)]
    assert "".join(texts) == "pausing: one two"


@check
def options_are_taken(case: Case) -> None:
    options = {"temperature": 0.5, "top_p": 0.9, "top_k": 20, "num_predict": 20, "seed": 7, "num_ctx": 8192}
    answer = client(case).chat(case.magic("gen-400"), said("go"), options=options, keep_alive="5m")
    assert answer.done_reason == "length"
    if case.upstream == "via-responses":
        return  # knows no stop sequences
    stopped = client(case).chat(case.model, said("one two three"), options={"stop": ["two"]})
    assert stopped.message.content.strip() == "mock-large: one"


@check
def turns_are_taken(case: Case) -> None:
    messages = [{"role": "system", "content": "be brief"}, *said("first"), {"role": "assistant", "content": "noted"}]
    answer = client(case).chat(case.model, [*messages, *said("second")])
    assert answer.message.content == "mock-large: second"
    assert "be brief" in case.requests("mock-large")[-1]["body"]


@check
def generate_answers_and_streams(case: Case) -> None:
    answer = client(case).generate(case.model, "hello", system="be brief")
    assert answer.response == "mock-large: hello"
    assert answer.done
    chunks = list(client(case).generate(case.model, "hello there", stream=True))
    assert "".join(chunk.response for chunk in chunks) == "mock-large: hello there"
    assert chunks[-1].done


@check
def tools_are_called_in_parallel(case: Case) -> None:
    answer = client(case).chat(case.model, said(PARIS_AND_OSLO), tools=[WEATHER])
    calls = [call.function for call in answer.message.tool_calls]
    assert [(call.name, dict(call.arguments)) for call in calls] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Oslo"}),
    ]


@check
def tools_are_called_in_a_stream(case: Case) -> None:
    chunks = client(case).chat(case.model, said(PARIS_AND_OSLO), tools=[WEATHER], stream=True)
    calls = [call.function for chunk in chunks for call in chunk.message.tool_calls or []]
    assert [dict(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]


@check
def tool_results_are_taken(case: Case) -> None:
    first = client(case).chat(case.model, said(PARIS_AND_OSLO), tools=[WEATHER])
    results = [
        {"role": "tool", "content": f"sunny {number}", "tool_name": "weather"}
        for number, _ in enumerate(first.message.tool_calls)
    ]
    answer = client(case).chat(case.model, [*said(PARIS_AND_OSLO), first.message, *results], tools=[WEATHER])
    assert "sunny" in answer.message.content


@check
def python_functions_are_tools(case: Case) -> None:
    def weather(city: str) -> str:
        """The weather of a city.

        Args:
          city: Which one.
        """
        return city

    answer = client(case).chat(case.model, said(PARIS_AND_OSLO), tools=[weather])
    assert [weather(**call.function.arguments) for call in answer.message.tool_calls] == ["Paris", "Oslo"]


@check
def structured_output(case: Case) -> None:
    for schema in (PERSON_SCHEMA, Person.model_json_schema()):
        answer = client(case).chat(case.model, said("a person"), format=schema)
        Person.model_validate_json(answer.message.content)
    generated = client(case).generate(case.model, "a person", format=PERSON_SCHEMA)
    Person.model_validate_json(generated.response)


@check
def pictures_reach_the_upstream(case: Case) -> None:
    answer = client(case).chat(case.model, said("what is this?", images=[RED_PIXEL]))
    assert answer.message.content.startswith("mock-large: what is this?")
    assert RED_PIXEL[:40] in case.requests("mock-large")[-1]["body"]


@check
def thoughts_are_shown(case: Case) -> None:
    answer = client(case).chat(case.magic("think"), said("hello"), think=True)
    assert answer.message.thinking
    assert answer.message.content == "think: hello"
    chunks = list(client(case).chat(case.magic("think"), said("hello"), think=True, stream=True))
    assert any(chunk.message.thinking for chunk in chunks)


@check(only=["via-openai", "via-gemini", "via-ollama"])
def embeddings(case: Case) -> None:
    answer = client(case).embed(case.magic("embed"), ["the quick fox", "unrelated"])
    assert len(answer.embeddings) == 2
    assert answer.embeddings[0] != answer.embeddings[1]
    single = client(case).embed(case.magic("embed"), "the quick fox")
    assert len(single.embeddings[0]) == len(answer.embeddings[0])
    assert client(case).embeddings(case.magic("embed"), "the quick fox").embedding


@check
def models_are_listed(case: Case) -> None:
    assert case.model in [model.model for model in client(case).list().models]
    assert client(case).show(case.model).capabilities
    assert client(case).ps().models is not None


@check
def errors_have_their_status(case: Case) -> None:
    for model, status in (
        ("never-heard-of", 404),
        (case.magic("no-such-model"), 404),
        (case.magic("error-400"), 400),
        (case.magic("error-429"), 429),
    ):
        with raises(ollama.ResponseError) as caught:
            client(case).chat(model, said("hello"))
        assert caught[0].status_code == status, model
        assert caught[0].error
        with raises(ollama.ResponseError) as caught:
            list(client(case).chat(model, said("hello"), stream=True))
        assert caught[0].status_code == status, model
    with raises(ollama.ResponseError) as caught:
        client(case, key="sk-wrong").chat(case.model, said("hello"))
    assert caught[0].status_code == 401


@check
def broken_stream_is_an_error(case: Case) -> None:
    with raises(Exception):
        list(client(case).chat(case.magic("drop"), said("a b c d e f g h"), stream=True))


@check
def timeout_of_the_client(case: Case) -> None:
    with raises(Exception) as caught:
        client(case, timeout=0.5).chat(case.magic("hang"), said("hello"))
    assert "timeout" in type(caught[0]).__name__.lower() or "timed out" in str(caught[0])
    until(lambda: case.requests("hang")[-1]["is_aborted"], "the upstream's request is given up")


@check
def leaving_a_stream_cancels_the_upstream(case: Case) -> None:
    stream = client(case).chat(case.magic("dripping"), said("word " * 500), stream=True)
    next(stream)
    stream.close()
    until(lambda: case.requests("dripping")[-1]["is_aborted"], "the upstream's stream is given up")


@check
async def asynchronous_client(case: Case) -> None:
    client = AsyncClient(host=case.url, headers={"Authorization": f"Bearer {case.key}"}, timeout=10)
    answers = await asyncio.gather(*(client.chat(case.model, said(f"number {number}")) for number in range(8)))
    assert [answer.message.content for answer in answers] == [f"mock-large: number {number}" for number in range(8)]


if __name__ == "__main__":
    run()
