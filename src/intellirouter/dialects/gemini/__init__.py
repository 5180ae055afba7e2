"""Google's Gemini dialect: the Generative Language API and Vertex AI, for chat, counts and embeddings.

Door: `CLIENT`, `COUNT_CLIENT`, `EMBEDDINGS_CLIENT`, `UPSTREAM`, `EMBEDDINGS_UPSTREAM`, `ERRORS`, `WRAPPED_MARK`.
Client's side: `client`, `request_in`, `parts_in`, `answer_out`, `stream_out`, `error_style`. Upstream's side:
`upstream`, `request_out`, `contents_out`, `media_out`, `answer_in`, `stream_in`, `errors_in`, with `models` for what
a model takes. Both: `wire`, `framing`, `schemas`, `stops`, `citations`, `embeddings`.
"""

from typing import Final

from intellirouter.dialects.gemini.client import GeminiClient, GeminiCountClient
from intellirouter.dialects.gemini.client_errors import GeminiErrors
from intellirouter.dialects.gemini.embeddings import GeminiEmbeddingsClient, GeminiEmbeddingsUpstream
from intellirouter.dialects.gemini.upstream import GeminiUpstream
from intellirouter.dialects.gemini.wire import WRAPPED_MARK

CLIENT: Final = GeminiClient()
UPSTREAM: Final = GeminiUpstream()
COUNT_CLIENT: Final = GeminiCountClient()
EMBEDDINGS_CLIENT: Final = GeminiEmbeddingsClient()
EMBEDDINGS_UPSTREAM: Final = GeminiEmbeddingsUpstream()
ERRORS: Final = GeminiErrors()

__all__ = [
    "CLIENT",
    "COUNT_CLIENT",
    "EMBEDDINGS_CLIENT",
    "EMBEDDINGS_UPSTREAM",
    "ERRORS",
    "UPSTREAM",
    "WRAPPED_MARK",
]
