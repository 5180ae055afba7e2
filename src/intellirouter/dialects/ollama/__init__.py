"""Ollama's native API: chat, generate, embeddings, and information about models.

Door: `SPEC`; `CLIENT`, `GENERATE_CLIENT`, `EMBEDDINGS_CLIENT`, `LEGACY_EMBEDDINGS_CLIENT`, `UPSTREAM`,
`EMBEDDINGS_UPSTREAM`, `ERRORS`; `is_load` and `LOAD_ROUTE` for requests that only load a model; `ListedModel`, `tags`,
`ps`, `show` and `version` for information about models.
Client side: `client` and `client_*`, `loading`, `model_pages`. Upstream side: `upstream` and `upstream_*`.
Both: `wire`.
"""

from typing import Final

from intellirouter.dialects.adapt.json_merge import Layout
from intellirouter.dialects.ollama.client import CLIENT, GENERATE_CLIENT
from intellirouter.dialects.ollama.client_embeddings import EMBEDDINGS_CLIENT, LEGACY_EMBEDDINGS_CLIENT
from intellirouter.dialects.ollama.client_errors import ERRORS
from intellirouter.dialects.ollama.client_response import EMPTY_MESSAGES, EMPTY_RESPONSES
from intellirouter.dialects.ollama.loading import LOAD_ROUTE, is_load
from intellirouter.dialects.ollama.model_pages import ListedModel, ps, show, tags, version
from intellirouter.dialects.ollama.upstream import EMBEDDINGS_UPSTREAM, UPSTREAM
from intellirouter.dialects.ollama.wire import DIALECT
from intellirouter.dialects.spec import ChatEndpoint, DialectSpec, EmbeddingsEndpoint, LocalAnswer, Traits

_LOADS: Final = LocalAnswer(is_load, LOAD_ROUTE)
SPEC: Final = DialectSpec(
    name=DIALECT,
    title="Ollama",
    errors=ERRORS,
    endpoints=(
        ChatEndpoint(name="ollama_chat", paths=("/api/chat",), client=CLIENT, local=_LOADS, keep_alive=EMPTY_MESSAGES),
        ChatEndpoint(
            name="ollama_generate",
            paths=("/api/generate",),
            client=GENERATE_CLIENT,
            has_upstream_format=False,
            local=_LOADS,
            keep_alive=EMPTY_RESPONSES,
        ),
        EmbeddingsEndpoint(name="ollama_embed", paths=("/api/embed",), client=EMBEDDINGS_CLIENT, local=_LOADS),
        EmbeddingsEndpoint(
            name="ollama_embeddings", paths=("/api/embeddings",), client=LEGACY_EMBEDDINGS_CLIENT, local=_LOADS
        ),
    ),
    other_paths=frozenset(f"/api/{name}" for name in ("tags", "ps", "show", "version", "pull", "create")),
    error_prefixes=("/api/",),
    allows_any_media_type=True,  # the curl examples of its documentation declare none
    decodes_alike=False,  # answers say how long they took since the request was decoded
    chat=UPSTREAM,
    embeddings=EMBEDDINGS_UPSTREAM,
    traits=Traits(can_force_tools=False, takes_media_in_answers=True),
    layout=Layout(containers=frozenset({"options"})),
)

__all__ = [
    "CLIENT",
    "EMBEDDINGS_CLIENT",
    "EMBEDDINGS_UPSTREAM",
    "ERRORS",
    "GENERATE_CLIENT",
    "LEGACY_EMBEDDINGS_CLIENT",
    "LOAD_ROUTE",
    "SPEC",
    "UPSTREAM",
    "ListedModel",
    "is_load",
    "ps",
    "show",
    "tags",
    "version",
]
