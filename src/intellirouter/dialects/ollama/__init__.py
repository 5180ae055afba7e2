"""Ollama's native API, both sides: chat, generate, embeddings, and what its clients ask about models.

Door: the clients, the upstreams, `ERRORS`, `LOAD_LANE` for requests that only load a model, and the catalogue's bodies.
"""

from intellirouter.dialects.ollama.catalogue import ListedModel, ps, show, tags, version
from intellirouter.dialects.ollama.client import CLIENT, GENERATE_CLIENT
from intellirouter.dialects.ollama.embeddings_in import EMBEDDINGS_CLIENT, LEGACY_EMBEDDINGS_CLIENT
from intellirouter.dialects.ollama.error_style import ERRORS
from intellirouter.dialects.ollama.loading import LOAD_LANE, is_load, load_answer
from intellirouter.dialects.ollama.upstream import EMBEDDINGS_UPSTREAM, UPSTREAM

__all__ = [
    "CLIENT",
    "EMBEDDINGS_CLIENT",
    "EMBEDDINGS_UPSTREAM",
    "ERRORS",
    "GENERATE_CLIENT",
    "LEGACY_EMBEDDINGS_CLIENT",
    "LOAD_LANE",
    "UPSTREAM",
    "ListedModel",
    "is_load",
    "load_answer",
    "ps",
    "show",
    "tags",
    "version",
]
