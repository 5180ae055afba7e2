"""What is asked of OpenAI's Agents SDK whichever API it speaks: the scripts say which by `speak`."""

from collections.abc import Callable

import openai
from agents import Agent, ModelSettings, Runner, function_tool, set_tracing_disabled
from agents.items import ToolCallOutputItem
from agents.models.interface import Model
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.support.clients.checks import PARIS_AND_OSLO, Case, check, raises, run

MakeModel = Callable[[str, AsyncOpenAI], Model]
_speaks: list[MakeModel] = []


class Person(BaseModel):
    name: str
    age: int


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def speak(make: MakeModel) -> None:
    """Run all checks with models made by `make`."""
    set_tracing_disabled(disabled=True)
    _speaks.append(make)
    run()


def model(case: Case, magic: str = "") -> Model:
    client = AsyncOpenAI(base_url=case.base_url, api_key=case.key, max_retries=0, timeout=10)
    return _speaks[0](case.magic(magic) if magic else case.model, client)


@check
async def agent_answers(case: Case) -> None:
    answer = await Runner.run(Agent(name="plain", instructions="be brief", model=model(case)), "hello")
    assert answer.final_output == "mock-large: hello"
    assert answer.context_wrapper.usage.output_tokens > 0


@check
async def agent_streams(case: Case) -> None:
    settings = ModelSettings(include_usage=True)
    running = Runner.run_streamed(Agent(name="plain", model=model(case, "gen-400"), model_settings=settings), "hello")
    deltas = [
        event.data.delta
        async for event in running.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert len(deltas) > 100
    assert "".join(deltas) == running.final_output
    assert running.context_wrapper.usage.output_tokens == 400


@check
async def tools_run_and_results_go_back(case: Case) -> None:
    answer = await Runner.run(Agent(name="tools", tools=[weather], model=model(case)), PARIS_AND_OSLO)
    outputs = [item.output for item in answer.new_items if isinstance(item, ToolCallOutputItem)]
    assert outputs == ["sunny in Paris", "sunny in Oslo"]
    assert "sunny in" in answer.final_output


@check
async def tools_in_a_stream(case: Case) -> None:
    running = Runner.run_streamed(Agent(name="tools", tools=[weather], model=model(case)), PARIS_AND_OSLO)
    async for _ in running.stream_events():
        pass
    outputs = [item.output for item in running.new_items if isinstance(item, ToolCallOutputItem)]
    assert outputs == ["sunny in Paris", "sunny in Oslo"]


@check
async def structured_output(case: Case) -> None:
    answer = await Runner.run(Agent(name="typed", output_type=Person, model=model(case)), "a person")
    assert isinstance(answer.final_output, Person)


@check
async def agents_hand_over(case: Case) -> None:
    second = Agent(name="second", model=model(case))
    first = Agent(name="first", handoffs=[second], model=model(case))
    answer = await Runner.run(first, "call transfer_to_second with {}")
    assert answer.last_agent.name == "second"


@check
async def errors_pass(case: Case) -> None:
    for magic, kind in (("no-such-model", openai.NotFoundError), ("error-429", openai.RateLimitError)):
        with raises(kind):
            await Runner.run(Agent(name="plain", model=model(case, magic)), "hello")
