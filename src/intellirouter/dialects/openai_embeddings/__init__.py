"""OpenAI's embeddings (`POST /v1/embeddings`).

Door: `EMBEDDINGS_CLIENT`, `EMBEDDINGS_UPSTREAM`; `EmbeddingsPassthrough` relays between equals.
Both sides: `codec`, `answer`, `vectors`. Between equals: `route`.
"""

from intellirouter.dialects.openai_embeddings.codec import EmbeddingsClient, EmbeddingsUpstream
from intellirouter.dialects.openai_embeddings.passthrough import EmbeddingsPassthrough

EMBEDDINGS_CLIENT = EmbeddingsClient()
EMBEDDINGS_UPSTREAM = EmbeddingsUpstream()

__all__ = ["EMBEDDINGS_CLIENT", "EMBEDDINGS_UPSTREAM", "EmbeddingsPassthrough"]
