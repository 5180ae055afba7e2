"""Pydantic AI over Anthropic's messages API."""

from agent_checks import speak
from anthropic import AsyncAnthropic
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider

from tests.support.clients.checks import Case


def messages_model(case: Case, name: str) -> AnthropicModel:
    client = AsyncAnthropic(base_url=case.url, api_key=case.key, max_retries=0)
    # It goes by the model's name, and ours is not Anthropic's.
    can = ModelProfile(supports_json_schema_output=True)
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client), profile=can)


if __name__ == "__main__":
    speak(messages_model)
