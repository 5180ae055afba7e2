"""OpenAI's legacy completions (`POST /v1/completions`), served by chat upstreams.

Door: `SPEC`; `CLIENT`; `CompletionsPassthrough` for upstreams of the same dialect.
Client side: `client`, `client_reader`. Same dialect on both sides: `passthrough`. There is no upstream codec.
"""

from typing import Final

from intellirouter.dialects.openai.client_errors import OpenAIErrors
from intellirouter.dialects.openai_completions.client import DIALECT, CompletionsClient
from intellirouter.dialects.openai_completions.client_reader import CompletionsReader
from intellirouter.dialects.openai_completions.passthrough import CompletionsPassthrough
from intellirouter.dialects.spec import ChatEndpoint, DialectSpec

CLIENT: Final = CompletionsClient()
SPEC: Final = DialectSpec(
    name=DIALECT,
    title="OpenAI completions",
    errors=OpenAIErrors(),
    endpoints=(
        ChatEndpoint(
            name="openai_completions",
            paths=("/v1/completions",),
            client=CLIENT,
            passthrough=CompletionsPassthrough(),
            passthrough_operation="completions",
            reader=lambda _: CompletionsReader(),
        ),
    ),
)

__all__ = ["CLIENT", "SPEC", "CompletionsPassthrough"]
