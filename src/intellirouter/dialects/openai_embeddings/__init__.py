"""OpenAI's embeddings (`POST /v1/embeddings`).

Door: `SPEC`; `EMBEDDINGS_CLIENT`, `EMBEDDINGS_UPSTREAM`; `EmbeddingsPassthrough` for upstreams of the same dialect.
Client side: `client`, `client_response`. Upstream side: `upstream`, `upstream_response`. Both: `wire`. Same dialect on
both sides: `passthrough`.
"""

from typing import Final

from intellirouter.dialects.openai.client_errors import OpenAIErrors
from intellirouter.dialects.openai_embeddings.client import EmbeddingsClient
from intellirouter.dialects.openai_embeddings.passthrough import EmbeddingsPassthrough
from intellirouter.dialects.openai_embeddings.upstream import EmbeddingsUpstream
from intellirouter.dialects.openai_embeddings.wire import DIALECT
from intellirouter.dialects.spec import DialectSpec, EmbeddingsEndpoint

EMBEDDINGS_CLIENT: Final = EmbeddingsClient()
EMBEDDINGS_UPSTREAM: Final = EmbeddingsUpstream()
SPEC: Final = DialectSpec(
    name=DIALECT,
    title="OpenAI",
    errors=OpenAIErrors(),
    endpoints=(
        EmbeddingsEndpoint(
            name="openai_embeddings",
            paths=("/v1/embeddings",),
            client=EMBEDDINGS_CLIENT,
            passthrough=EmbeddingsPassthrough(),
        ),
    ),
    embeddings=EMBEDDINGS_UPSTREAM,
)

__all__ = ["EMBEDDINGS_CLIENT", "EMBEDDINGS_UPSTREAM", "SPEC", "EmbeddingsPassthrough"]
