"""OpenAI's legacy completions (`POST /completions`): relayed to who has them, over the chat form to who has not."""

from intellirouter.dialects.openai_completions.codec import CompletionsClient
from intellirouter.dialects.openai_completions.lane import OpenAICompletionsLane

CLIENT = CompletionsClient()

__all__ = ["CLIENT", "CompletionsClient", "OpenAICompletionsLane"]
