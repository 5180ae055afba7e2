"""LlamaIndex with `OpenAILike` and `OpenAILikeEmbedding`."""

from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from openai import NotFoundError
from pydantic import BaseModel

from tests.support.clients.checks import PARIS_AND_OSLO, RED_PIXEL, Case, check, raises, run


class Person(BaseModel):
    name: str
    age: int


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def model(case: Case, **settings: Any) -> OpenAILike:
    return OpenAILike(
        **{
            "model": case.model,
            "api_base": case.base_url,
            "api_key": case.key,
            "is_chat_model": True,
            "is_function_calling_model": True,
            "context_window": 100_000,
            "max_retries": 0,
            "timeout": 10,
            **settings,
        }
    )


@check
def complete_through_chat(case: Case) -> None:
    assert str(model(case).complete("hello")) == "mock-large: hello"
    assert list(model(case).stream_complete("hello"))[-1].text == "mock-large: hello"


@check
def chat_and_usage(case: Case) -> None:
    answer = model(case).chat([ChatMessage(role="system", content="be brief"), ChatMessage(content="hello")])
    assert answer.message.content == "mock-large: hello"
    assert answer.raw.usage.total_tokens > 0


@check
def chat_streams(case: Case) -> None:
    pieces = list(model(case).stream_chat([ChatMessage(content="hello there")]))
    assert "".join(piece.delta or "" for piece in pieces) == "mock-large: hello there"


@check
async def asynchronous_chat(case: Case) -> None:
    assert (await model(case).achat([ChatMessage(content="hello")])).message.content == "mock-large: hello"


@check
def pictures(case: Case) -> None:
    blocks = [TextBlock(text="what is this?"), ImageBlock(image=RED_PIXEL.encode(), image_mimetype="image/png")]
    answer = model(case).chat([ChatMessage(role="user", blocks=blocks)])
    assert answer.message.content.startswith("mock-large: what is this?")


@check
def tools_are_called_in_parallel(case: Case) -> None:
    tool = FunctionTool.from_defaults(weather)
    llm = model(case)
    answer = llm.chat_with_tools([tool], user_msg=PARIS_AND_OSLO, allow_parallel_tool_calls=True)
    calls = llm.get_tool_calls_from_response(answer)
    assert [call.tool_kwargs for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]


@check
async def agent_goes_round(case: Case) -> None:
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(weather)], llm=model(case), system_prompt="be brief")
    answer = await agent.run(PARIS_AND_OSLO)
    assert "sunny in" in str(answer)


@check(without=["via-ollama"])
def structured_output(case: Case) -> None:
    person = model(case).as_structured_llm(Person).complete("a person").raw
    assert isinstance(person, Person)


@check(only=["via-openai", "via-gemini", "via-ollama"])
def embeddings_in_batches(case: Case) -> None:
    embedding = OpenAILikeEmbedding(model_name=case.magic("embed"), api_base=case.base_url, api_key=case.key)
    texts = [f"text number {number}" for number in range(5)]
    vectors = embedding.get_text_embedding_batch(texts)
    assert len({tuple(vector) for vector in vectors}) == len(texts)
    assert vectors[3] == embedding.get_text_embedding(texts[3])


@check
def errors_pass(case: Case) -> None:
    with raises(NotFoundError):
        model(case, model="never-heard-of").complete("hello")


if __name__ == "__main__":
    run()
