"""Google's Gemini dialect: the Generative Language API and Vertex AI, for chat, token counts and embeddings.

Public names: `SPEC`; `CLIENT`, `COUNT_CLIENT`, `EMBEDDINGS_CLIENT`, `UPSTREAM`, `EMBEDDINGS_UPSTREAM` and `ERRORS`. The
client side is in `client` and `client_*`, the upstream side in `upstream` and `upstream_*`. Both use `wire`, `framing`,
`resources`, `stop_reasons`, `citations` and `embeddings`.
"""

from typing import Final

from intellirouter.dialects.gemini.client import GeminiClient, GeminiCountClient
from intellirouter.dialects.gemini.client_errors import GeminiErrors
from intellirouter.dialects.gemini.embeddings import GeminiEmbeddingsClient, GeminiEmbeddingsUpstream
from intellirouter.dialects.gemini.upstream import GeminiUpstream
from intellirouter.dialects.gemini.upstream_request import LAYOUT
from intellirouter.dialects.gemini.wire import DIALECT, WRAPPED_MARK
from intellirouter.dialects.keep_alive import BLANK_LINES
from intellirouter.dialects.spec import (
    ChatEndpoint,
    CountEndpoint,
    DialectSpec,
    EmbeddingsEndpoint,
    PathPattern,
    Traits,
)
from intellirouter.dialects.wire.model_member import ModelMember
from intellirouter.dialects.wire.tool_name_rule import NameRule

CLIENT: Final = GeminiClient()
UPSTREAM: Final = GeminiUpstream()
COUNT_CLIENT: Final = GeminiCountClient()
EMBEDDINGS_CLIENT: Final = GeminiEmbeddingsClient()
EMBEDDINGS_UPSTREAM: Final = GeminiEmbeddingsUpstream()
ERRORS: Final = GeminiErrors()
_TOOL_NAMES: Final = NameRule(64, punctuation="_.-", needs_letter=True)
"""Vertex AI's rule. The Generative Language API accepts a little more."""
_PREFIXES: Final = ("/v1beta/models/", "/v1/models/", "/v1beta1/models/", "/v1alpha/models/")


def _method_pattern(name: str, *, is_stream: bool = False) -> PathPattern:
    return PathPattern(_PREFIXES, f":{name}", is_stream)


SPEC: Final = DialectSpec(
    name=DIALECT,
    title="Gemini",
    errors=ERRORS,
    endpoints=(
        ChatEndpoint(
            name="gemini",
            patterns=(_method_pattern("generateContent"), _method_pattern("streamGenerateContent", is_stream=True)),
            client=CLIENT,
            unique_members=("model", "contents", "generationConfig", "generation_config"),
            keep_alive=BLANK_LINES,  # Google's Python library takes every other line for a part of a JSON document
        ),
        CountEndpoint(name="gemini_count_tokens", patterns=(_method_pattern("countTokens"),), client=COUNT_CLIENT),
        EmbeddingsEndpoint(
            name="gemini_embed",
            patterns=(_method_pattern("embedContent"), _method_pattern("batchEmbedContents")),
            client=EMBEDDINGS_CLIENT,
        ),
    ),
    error_prefixes=("/v1beta", "/v1alpha", "/upload/v1beta"),
    error_header=b"x-goog-api-key",
    chat=UPSTREAM,
    counts=UPSTREAM,
    embeddings=EMBEDDINGS_UPSTREAM,
    traits=Traits(tool_names=_TOOL_NAMES, takes_media_in_answers=True),
    answer_model=ModelMember(whole=("modelVersion",), event=("modelVersion",)),
    layout=LAYOUT,
    wrapped_token_prefix=WRAPPED_MARK,
)

__all__ = [
    "CLIENT",
    "COUNT_CLIENT",
    "EMBEDDINGS_CLIENT",
    "EMBEDDINGS_UPSTREAM",
    "ERRORS",
    "SPEC",
    "UPSTREAM",
]
