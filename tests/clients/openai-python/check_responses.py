"""The official `openai` package: the responses API."""

import json
from typing import Any

import openai
from openai import OpenAI
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

WEATHER: Any = {"type": "function", "name": "weather", "parameters": WEATHER_SCHEMA, "strict": False}
BASE_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


class Person(BaseModel):
    name: str
    age: int


def client(case: Case, **settings: Any) -> OpenAI:
    return OpenAI(**{"base_url": case.base_url, "api_key": case.key, "max_retries": 0, "timeout": 10, **settings})


def calls_of(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


@check
def text_is_answered(case: Case) -> None:
    response = client(case).responses.create(model=case.model, input="hello", store=False)
    assert response.output_text == "mock-large: hello"
    assert response.status == "completed"
    assert response.object == "response"
    assert [item.type for item in response.output] == ["message"]
    assert response.output[0].id
    assert response.error is None


@check
def silent_stream_is_complete(case: Case) -> None:
    events = list(client(case).responses.create(model=case.magic("pausing"), input="one two", stream=True, store=False))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "pausing: one two"


@check
def usage_has_its_details(case: Case) -> None:
    usage = client(case).responses.create(model=case.magic("gen-400"), input="hello", store=False).usage
    assert usage.output_tokens == 400
    assert usage.input_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens_details.cached_tokens == 0
    assert usage.output_tokens_details.reasoning_tokens == 0


@check
def events_come_in_order(case: Case) -> None:
    events = list(client(case).responses.create(model=case.model, input="hello", stream=True, store=False))
    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == BASE_EVENTS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "mock-large: hello"
    last = events[-1].response
    assert last.output_text == text
    assert last.usage.output_tokens > 0
    added = next(event.item.id for event in events if event.type == "response.output_item.added")
    assert added == last.output[0].id


@check
def stream_comes_in_pieces(case: Case) -> None:
    with client(case).responses.stream(model=case.magic("gen-400"), input="go", store=False) as stream:
        deltas = [event for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert len(deltas) > 100
    assert final.usage.output_tokens == 400


@check
def length_is_incomplete(case: Case) -> None:
    response = client(case).responses.create(
        model=case.magic("gen-400"), input="hello", max_output_tokens=20, store=False
    )
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    events = list(
        client(case).responses.create(
            model=case.magic("gen-400"), input="hello", max_output_tokens=20, stream=True, store=False
        )
    )
    assert events[-1].type == "response.incomplete"


@check
def instructions_and_roles(case: Case) -> None:
    items: Any = [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [{"type": "input_text", "text": "first"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "noted"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "second"}]},
    ]
    response = client(case).responses.create(model=case.model, instructions="be brief", input=items, store=False)
    assert response.output_text == "mock-large: second"
    sent = case.requests("mock-large")[-1]["body"]
    assert "be brief" in sent
    assert "be kind" in sent


@check
def tools_are_called_in_parallel(case: Case) -> None:
    response = client(case).responses.create(model=case.model, input=PARIS_AND_OSLO, tools=[WEATHER], store=False)
    calls = calls_of(response)
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert len({call.call_id for call in calls}) == 2
    assert response.status == "completed"


@check
def tools_are_called_in_a_stream(case: Case) -> None:
    events = list(
        client(case).responses.create(model=case.model, input=PARIS_AND_OSLO, tools=[WEATHER], stream=True, store=False)
    )
    arguments: dict[int, str] = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
    assert [json.loads(text) for _, text in sorted(arguments.items())] == [{"city": "Paris"}, {"city": "Oslo"}]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [json.loads(item.arguments) for item in done if item.type == "function_call"] == [
        {"city": "Paris"},
        {"city": "Oslo"},
    ]


@check
def tool_results_are_taken(case: Case) -> None:
    first = client(case).responses.create(model=case.model, input=PARIS_AND_OSLO, tools=[WEATHER], store=False)
    items: Any = [{"role": "user", "content": PARIS_AND_OSLO}, *first.output]
    items += [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"sunny {number}"}
        for number, call in enumerate(calls_of(first))
    ]
    response = client(case).responses.create(model=case.model, input=items, tools=[WEATHER], store=False)
    assert "sunny" in response.output_text


@check(without=["via-ollama"])
def tool_choice_is_obeyed(case: Case) -> None:
    choices: list[Any] = ["required", {"type": "function", "name": "weather"}]
    for choice in choices:
        response = client(case).responses.create(
            model=case.model, input="hello", tools=[WEATHER], tool_choice=choice, store=False
        )
        assert [call.name for call in calls_of(response)] == ["weather"], choice


@check(only=["via-openai", "via-responses", "via-anthropic"])
def parallel_calls_can_be_forbidden(case: Case) -> None:
    response = client(case).responses.create(
        model=case.model, input=PARIS_AND_OSLO, tools=[WEATHER], parallel_tool_calls=False, store=False
    )
    assert len(calls_of(response)) == 1


@check
def structured_output(case: Case) -> None:
    response = client(case).responses.parse(model=case.model, input="a person", text_format=Person, store=False)
    assert isinstance(response.output_parsed, Person)
    schema: Any = {"format": {"type": "json_schema", "name": "person", "schema": PERSON_SCHEMA, "strict": True}}
    plain = client(case).responses.create(model=case.model, input="a person", text=schema, store=False)
    Person.model_validate_json(plain.output_text)


@check
def pictures_reach_the_upstream(case: Case) -> None:
    content: Any = [
        {"type": "input_text", "text": "what is this?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{RED_PIXEL}", "detail": "auto"},
    ]
    response = client(case).responses.create(
        model=case.model, input=[{"role": "user", "content": content}], store=False
    )
    assert response.output_text.startswith("mock-large: what is this?")
    assert RED_PIXEL[:40] in case.requests("mock-large")[-1]["body"]


@check
def thoughts_are_items(case: Case) -> None:
    reasoning: Any = {"effort": "low", "summary": "auto"}
    response = client(case).responses.create(
        model=case.magic("think"),
        input="hello",
        reasoning=reasoning,
        store=False,
        include=["reasoning.encrypted_content"],
    )
    assert [item.type for item in response.output] == ["reasoning", "message"]
    items: Any = [{"role": "user", "content": "hello"}, *response.output, {"role": "user", "content": "again"}]
    again = client(case).responses.create(
        model=case.magic("think"),
        input=items,
        reasoning=reasoning,
        store=False,
        include=["reasoning.encrypted_content"],
    )
    assert again.output_text == "think: again"


@check
def stored_responses_go_on(case: Case) -> None:
    first = client(case).responses.create(model=case.model, input="my name is Ann")
    assert client(case).responses.retrieve(first.id).output_text == first.output_text
    second = client(case).responses.create(model=case.model, input="and now?", previous_response_id=first.id)
    assert second.output_text == "mock-large: and now?"
    sent = case.requests("mock-large")[-1]["body"]
    assert "my name is Ann" in sent or first.id in sent
    client(case).responses.delete(first.id)
    with raises(openai.NotFoundError):
        client(case).responses.retrieve(first.id)


@check
def errors_have_their_classes(case: Case) -> None:
    expected: list[tuple[str, type[openai.APIStatusError]]] = [
        ("no-such-model", openai.NotFoundError),
        ("error-400", openai.BadRequestError),
        ("error-429", openai.RateLimitError),
        ("error-503", openai.InternalServerError),
    ]
    for magic, kind in expected:
        for stream in (False, True):
            with raises(kind):
                client(case).responses.create(model=case.magic(magic), input="hello", stream=stream, store=False)
    with raises(openai.AuthenticationError):
        client(case, api_key="sk-wrong").responses.create(model=case.model, input="hello", store=False)


@check
def broken_stream_is_no_good_end(case: Case) -> None:
    kinds = []
    try:
        stream = client(case).responses.create(
            model=case.magic("drop"), input="a b c d e f g h", stream=True, store=False
        )
        kinds = [event.type for event in stream]
    except openai.APIError:
        return
    assert kinds[-1] in {"error", "response.failed"}, kinds


@check
def leaving_a_stream_cancels_the_upstream(case: Case) -> None:
    stream = client(case).responses.create(model=case.magic("dripping"), input="word " * 500, stream=True, store=False)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    until(lambda: case.requests("dripping")[-1]["is_aborted"], "the upstream's stream is given up")


if __name__ == "__main__":
    run()
