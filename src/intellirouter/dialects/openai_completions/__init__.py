"""OpenAI's legacy completions (`POST /v1/completions`): relayed to who has them, over the chat form to who has not.

Door: `CLIENT`; `CompletionsPassthrough` relays between equals.
Client's side: `codec`. Between equals: `route`. There is no upstream's side: others are asked to chat.
"""

from intellirouter.dialects.openai_completions.codec import CompletionsClient
from intellirouter.dialects.openai_completions.passthrough import CompletionsPassthrough

CLIENT = CompletionsClient()

__all__ = ["CLIENT", "CompletionsPassthrough"]
