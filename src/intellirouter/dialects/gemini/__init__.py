"""Google's Gemini dialect: the Generative Language API and Vertex AI. Codecs both ways, for chat, counts, embeddings.

Door: the values below. `request_in`, `parts_in`, `answer_out`, `stream_out` are the client's side; `request_out`,
`contents_out`, `answer_in`, `stream_in` the upstream's; `wire` has the spellings, `models` facts about models.
"""

from typing import Final

from intellirouter.dialects.gemini.client import GeminiClient, GeminiCountClient
from intellirouter.dialects.gemini.embeddings import GeminiEmbeddingsClient, GeminiEmbeddingsUpstream
from intellirouter.dialects.gemini.error_style import GeminiErrors
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
