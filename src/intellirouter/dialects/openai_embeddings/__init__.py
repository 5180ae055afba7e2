"""OpenAI's embeddings (`POST /v1/embeddings`).

Door: `EMBEDDINGS_CLIENT`, `EMBEDDINGS_UPSTREAM`; `OpenAIEmbeddingsLane` relays between equals.
Both sides: `codec`, `answer`, `vectors`. Between equals: `lane`.
"""

from intellirouter.dialects.openai_embeddings.codec import EmbeddingsClient, EmbeddingsUpstream
from intellirouter.dialects.openai_embeddings.lane import OpenAIEmbeddingsLane

EMBEDDINGS_CLIENT = EmbeddingsClient()
EMBEDDINGS_UPSTREAM = EmbeddingsUpstream()

__all__ = ["EMBEDDINGS_CLIENT", "EMBEDDINGS_UPSTREAM", "OpenAIEmbeddingsLane"]
