"""What is asked of Pydantic AI whichever API it speaks: the scripts say which by `speak`."""

import base64
from collections.abc import Callable

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelHTTPError, NativeOutput, ToolOutput, UsageLimits
from pydantic_ai.models import Model

from tests.support.clients.checks import PARIS_AND_OSLO, RED_PIXEL, Case, check, raises, run

MakeModel = Callable[[Case, str], Model]
_speaks: list[MakeModel] = []


class Person(BaseModel):
    name: str
    age: int


def speak(make: MakeModel) -> None:
    """Run all checks with models made by `make`."""
    _speaks.append(make)
    run()


def model(case: Case, magic: str = "") -> Model:
    return _speaks[0](case, case.magic(magic) if magic else case.model)


@check
async def agent_answers(case: Case) -> None:
    answer = await Agent(model(case), instructions="be brief").run("hello")
    assert answer.output == "mock-large: hello"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


@check
async def agent_streams(case: Case) -> None:
    async with Agent(model(case, "gen-400")).run_stream("hello") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
    assert len(pieces) > 100
    assert stream.usage.output_tokens == 400


@check
async def tools_are_called_and_results_go_back(case: Case) -> None:
    agent = Agent(model(case))
    asked = []

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"sunny in {city}"

    answer = await agent.run(PARIS_AND_OSLO, usage_limits=UsageLimits(request_limit=3))
    assert sorted(asked) == ["Oslo", "Paris"]
    assert "sunny in" in answer.output


@check
async def conversation_goes_on(case: Case) -> None:
    agent = Agent(model(case))
    first = await agent.run("first")
    second = await agent.run("second", message_history=first.all_messages())
    assert second.output == "mock-large: second"


@check(without=["via-ollama"])
async def structured_output_by_tool(case: Case) -> None:
    answer = await Agent(model(case), output_type=ToolOutput(Person)).run("a person")
    assert isinstance(answer.output, Person)


@check
async def structured_output_by_schema(case: Case) -> None:
    answer = await Agent(model(case), output_type=NativeOutput(Person)).run("a person")
    assert isinstance(answer.output, Person)


@check
async def pictures(case: Case) -> None:
    picture = BinaryContent(base64.b64decode(RED_PIXEL), media_type="image/png")
    answer = await Agent(model(case)).run(["what is this?", picture])
    assert answer.output.startswith("mock-large: what is this?")


@check
async def errors_have_their_status(case: Case) -> None:
    for magic, status in (("no-such-model", 404), ("error-400", 400), ("error-429", 429)):
        with raises(ModelHTTPError) as caught:
            await Agent(model(case, magic)).run("hello")
        assert caught[0].status_code == status, magic
