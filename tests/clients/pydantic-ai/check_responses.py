"""Pydantic AI over the responses API."""

from agent_checks import speak
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support.clients.checks import Case


def responses_model(case: Case, name: str) -> OpenAIResponsesModel:
    client = AsyncOpenAI(base_url=case.base_url, api_key=case.key, max_retries=0)
    return OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=client))


if __name__ == "__main__":
    speak(responses_model)
