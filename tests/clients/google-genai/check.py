"""Google's `google-genai` package: content, streams, functions, schemas, embeddings, token counts."""

import base64
from typing import Any

from google import genai
from google.genai import errors, types
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

WEATHER = types.Tool(
    function_declarations=[types.FunctionDeclaration(name="weather", parameters_json_schema=WEATHER_SCHEMA)]
)
BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


_kept: list[genai.Client] = []
"""A client closes its connections when nobody holds it."""


class Person(BaseModel):
    name: str
    age: int


def client(case: Case, *, key: str | None = None, timeout_ms: int = 10_000, **options: Any) -> genai.Client:
    once = types.HttpRetryOptions(attempts=1)
    http = types.HttpOptions(**{"base_url": case.url, "timeout": timeout_ms, "retry_options": once, **options})
    made = genai.Client(api_key=key or case.key, http_options=http)
    _kept.append(made)
    return made


def tools(**members: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(tools=[WEATHER], automatic_function_calling=BY_HAND, **members)


@check
def content_is_generated(case: Case) -> None:
    answer = client(case).models.generate_content(model=case.model, contents="hello")
    assert answer.text == "mock-large: hello"
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.candidates[0].content.role == "model"


@check
def every_version_of_the_path(case: Case) -> None:
    for version in ("v1", "v1beta", "v1alpha"):
        answer = client(case, api_version=version).models.generate_content(model=case.model, contents="hello")
        assert answer.text == "mock-large: hello", version


@check
def content_streams(case: Case) -> None:
    chunks = list(client(case).models.generate_content_stream(model=case.magic("gen-400"), contents="go"))
    assert len(chunks) > 50
    assert len("".join(chunk.text or "" for chunk in chunks).split()) > 300
    assert chunks[-1].usage_metadata.candidates_token_count == 400
    assert [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates][-1] == types.FinishReason.STOP


@check
def silent_stream_is_complete(case: Case) -> None:
    chunks = list(client(case).models.generate_content_stream(model=case.magic("pausing"), contents="one two"))
    assert "".join(chunk.text or "" for chunk in chunks) == "pausing: one two"
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


@check
def usage_is_counted(case: Case) -> None:
    usage = client(case).models.generate_content(model=case.magic("gen-400"), contents="hello").usage_metadata
    assert usage.candidates_token_count == 400
    assert usage.prompt_token_count > 0
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count


@check
def length_is_told(case: Case) -> None:
    config = types.GenerateContentConfig(max_output_tokens=20, temperature=0.5, top_p=0.9, top_k=20)
    answer = client(case).models.generate_content(model=case.magic("gen-400"), contents="go", config=config)
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


@check(without=["via-responses"])
def stop_sequences_cut(case: Case) -> None:
    config = types.GenerateContentConfig(stop_sequences=["two"])
    answer = client(case).models.generate_content(model=case.model, contents="one two three", config=config)
    assert answer.text.strip() == "mock-large: one"


@check
def chat_goes_on_with_a_system_instruction(case: Case) -> None:
    chat = client(case).chats.create(
        model=case.model, config=types.GenerateContentConfig(system_instruction="be brief")
    )
    assert chat.send_message("first").text == "mock-large: first"
    assert chat.send_message("second").text == "mock-large: second"
    sent = case.requests("mock-large")[-1]["body"]
    assert "be brief" in sent
    assert "first" in sent


@check
def functions_are_called_in_parallel(case: Case) -> None:
    answer = client(case).models.generate_content(model=case.model, contents=PARIS_AND_OSLO, config=tools())
    assert [(call.name, call.args) for call in answer.function_calls] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Oslo"}),
    ]


@check
def functions_are_called_in_a_stream(case: Case) -> None:
    stream = client(case).models.generate_content_stream(model=case.model, contents=PARIS_AND_OSLO, config=tools())
    calls = [call for chunk in stream for call in chunk.function_calls or []]
    assert [call.args for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]


@check
def function_results_go_back(case: Case) -> None:
    asked = types.Content(role="user", parts=[types.Part(text=PARIS_AND_OSLO)])
    answer = client(case).models.generate_content(model=case.model, contents=[asked], config=tools())
    results = types.Content(
        role="user",
        parts=[
            types.Part(
                function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": "sunny"})
            )
            for call in answer.function_calls
        ],
    )
    contents = [asked, answer.candidates[0].content, results]
    again = client(case).models.generate_content(model=case.model, contents=contents, config=tools())
    assert "sunny" in again.text


@check
def functions_run_by_themselves(case: Case) -> None:
    asked = []

    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"sunny in {city}"

    config = types.GenerateContentConfig(tools=[weather])
    answer = client(case).models.generate_content(model=case.model, contents=PARIS_AND_OSLO, config=config)
    assert asked == ["Paris", "Oslo"]
    assert "sunny in" in answer.text


@check(without=["via-ollama"])
def function_calling_mode_is_obeyed(case: Case) -> None:
    def config(mode: str, **members: Any) -> types.GenerateContentConfig:
        calling = types.FunctionCallingConfig(mode=mode, **members)
        return tools(tool_config=types.ToolConfig(function_calling_config=calling))

    generate = client(case).models.generate_content
    for wanted in (config("ANY"), config("ANY", allowed_function_names=["weather"])):
        assert [call.name for call in generate(model=case.model, contents="hi", config=wanted).function_calls] == [
            "weather"
        ]
    assert not generate(model=case.model, contents=PARIS_AND_OSLO, config=config("NONE")).function_calls


@check
def structured_output(case: Case) -> None:
    json_out = {"response_mime_type": "application/json"}
    for config in (
        types.GenerateContentConfig(**json_out, response_schema=Person),
        types.GenerateContentConfig(**json_out, response_json_schema=PERSON_SCHEMA),
    ):
        answer = client(case).models.generate_content(model=case.model, contents="a person", config=config)
        Person.model_validate_json(answer.text)


@check
def pictures_reach_the_upstream(case: Case) -> None:
    picture = types.Part.from_bytes(data=base64.b64decode(RED_PIXEL), mime_type="image/png")
    answer = client(case).models.generate_content(model=case.model, contents=["what is this?", picture])
    assert answer.text.startswith("mock-large: what is this?")
    assert RED_PIXEL[:40] in case.requests("mock-large")[-1]["body"]


@check
def thoughts_are_shown(case: Case) -> None:
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    answer = client(case).models.generate_content(model=case.magic("think"), contents="hello", config=config)
    assert any(part.thought for part in answer.candidates[0].content.parts)
    assert answer.text == "think: hello"
    chat = client(case).chats.create(model=case.magic("think"), config=config)
    chat.send_message("hello")
    assert chat.send_message("again").text == "think: again"


@check(only=["via-openai", "via-gemini", "via-ollama"])
def embeddings(case: Case) -> None:
    embed = client(case).models.embed_content
    # Asked for several at once, the package sends one content where the model is called gemini, several otherwise.
    first, second = (
        embed(model=case.magic("embed"), contents=text).embeddings[0].values for text in ("the quick fox", "unrelated")
    )
    assert len(first) == len(second) > 0
    assert first != second


@check
def tokens_are_counted(case: Case) -> None:
    count = client(case).models.count_tokens
    short = count(model=case.model, contents="hello").total_tokens
    assert count(model=case.model, contents="hello " * 300).total_tokens > short + 100


@check
def models_are_listed(case: Case) -> None:
    names = [model.name for model in client(case, api_version="v1beta").models.list()]
    assert f"models/{case.model}" in names


@check
def errors_have_their_status(case: Case) -> None:
    expected = [
        (case.magic("no-such-model"), 404, "NOT_FOUND"),
        ("never-heard-of", 404, "NOT_FOUND"),
        (case.magic("error-400"), 400, "INVALID_ARGUMENT"),
        (case.magic("error-429"), 429, "RESOURCE_EXHAUSTED"),
    ]
    for model, code, status in expected:
        with raises(errors.ClientError) as caught:
            client(case).models.generate_content(model=model, contents="hello")
        assert (caught[0].code, caught[0].status) == (code, status), model
        with raises(errors.ClientError) as caught:
            list(client(case).models.generate_content_stream(model=model, contents="hello"))
        assert caught[0].code == code, model
    with raises(errors.ClientError) as caught:
        client(case, key="sk-wrong").models.generate_content(model=case.model, contents="hello")
    assert caught[0].code in {400, 401}
    with raises(errors.ServerError):
        client(case).models.generate_content(model=case.magic("error-503"), contents="hello")


@check
def server_errors_are_retried(case: Case) -> None:
    patient = types.HttpRetryOptions(attempts=3, initial_delay=0.1, max_delay=0.2)
    for _ in range(2):  # every second call of this model fails
        answer = client(case, retry_options=patient).models.generate_content(model=case.magic("flaky"), contents="hi")
        assert answer.text == "flaky: hi"


@check
def timeout_of_the_client(case: Case) -> None:
    with raises(Exception) as caught:
        client(case, timeout_ms=500).models.generate_content(model=case.magic("hang"), contents="hello")
    assert "timed out" in str(caught[0]).lower() or "timeout" in type(caught[0]).__name__.lower()
    until(lambda: case.requests("hang")[-1]["is_aborted"], "the upstream's request is given up")


@check
def leaving_a_stream_cancels_the_upstream(case: Case) -> None:
    talking = client(case)
    stream = talking.models.generate_content_stream(model=case.magic("dripping"), contents="word " * 500)
    next(iter(stream))
    stream.close()
    talking.close()
    until(lambda: case.requests("dripping")[-1]["is_aborted"], "the upstream's stream is given up")


@check
async def asynchronous_client(case: Case) -> None:
    aio = client(case).aio
    answer = await aio.models.generate_content(model=case.model, contents="hello")
    assert answer.text == "mock-large: hello"
    stream = await aio.models.generate_content_stream(model=case.model, contents="hello there")
    assert "".join([chunk.text or "" async for chunk in stream]) == "mock-large: hello there"


if __name__ == "__main__":
    run()
