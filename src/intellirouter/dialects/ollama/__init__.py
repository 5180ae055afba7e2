"""Ollama's native API: chat, generate, embeddings, and what its clients ask about models.

Door: `CLIENT`, `GENERATE_CLIENT`, `EMBEDDINGS_CLIENT`, `LEGACY_EMBEDDINGS_CLIENT`, `UPSTREAM`, `EMBEDDINGS_UPSTREAM`,
`ERRORS`, `is_load` and `LOAD_ROUTE` for requests that only load a model, the bodies of the catalogue.
Client's side: `client`, `request_in`, `embeddings_in`, `answer_out`, `loading`, `catalogue`. Upstream's side:
`upstream`, `request_out`, `answer_in`. Both: `wire`, `error_style`.
"""

from intellirouter.dialects.ollama.client import CLIENT, GENERATE_CLIENT
from intellirouter.dialects.ollama.client_embeddings import EMBEDDINGS_CLIENT, LEGACY_EMBEDDINGS_CLIENT
from intellirouter.dialects.ollama.client_errors import ERRORS
from intellirouter.dialects.ollama.loading import LOAD_ROUTE, is_load
from intellirouter.dialects.ollama.model_pages import ListedModel, ps, show, tags, version
from intellirouter.dialects.ollama.upstream import EMBEDDINGS_UPSTREAM, UPSTREAM

__all__ = [
    "CLIENT",
    "EMBEDDINGS_CLIENT",
    "EMBEDDINGS_UPSTREAM",
    "ERRORS",
    "GENERATE_CLIENT",
    "LEGACY_EMBEDDINGS_CLIENT",
    "LOAD_ROUTE",
    "UPSTREAM",
    "ListedModel",
    "is_load",
    "ps",
    "show",
    "tags",
    "version",
]
