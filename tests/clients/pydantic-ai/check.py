"""Pydantic AI over chat completions."""

from agent_checks import speak
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support.clients.checks import Case


def chat_model(case: Case, name: str) -> OpenAIChatModel:
    client = AsyncOpenAI(base_url=case.base_url, api_key=case.key, max_retries=0)
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))


if __name__ == "__main__":
    speak(chat_model)
