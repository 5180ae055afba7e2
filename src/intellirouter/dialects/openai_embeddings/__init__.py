"""OpenAI embeddings: the relay between equals, and both sides of a translation."""

from intellirouter.dialects.openai_embeddings.codec import EmbeddingsClient, EmbeddingsUpstream
from intellirouter.dialects.openai_embeddings.lane import OpenAIEmbeddingsLane

EMBEDDINGS_CLIENT = EmbeddingsClient()
EMBEDDINGS_UPSTREAM = EmbeddingsUpstream()

__all__ = ["EMBEDDINGS_CLIENT", "EMBEDDINGS_UPSTREAM", "OpenAIEmbeddingsLane"]
