"""OpenAI's responses dialect: Codex and the `openai` SDKs as clients, OpenAI and its likes as upstreams.

Door: `SPEC`; `CLIENT` (`POST /v1/responses`), `COUNT_CLIENT` (`POST /v1/responses/input_tokens`), `UPSTREAM`,
`ResponsesPassthrough`; `history`, `lifecycle` and `storage` are for whoever stores responses.
Client side: `client`, `count`, `client_*`, `response_envelope`. Upstream side: `upstream_*`.
Both: `encrypted_content`, `fields`.
"""

from typing import Final

from intellirouter.dialects.openai.client_errors import OpenAIErrors
from intellirouter.dialects.openai_responses import history, lifecycle
from intellirouter.dialects.openai_responses.client import ResponsesClient
from intellirouter.dialects.openai_responses.count import InputTokensClient
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.passthrough import ResponsesPassthrough
from intellirouter.dialects.openai_responses.upstream_request import LAYOUT, ResponsesUpstream
from intellirouter.dialects.spec import ChatEndpoint, CountEndpoint, DialectSpec, Traits

CLIENT: Final = ResponsesClient()
COUNT_CLIENT: Final = InputTokensClient()
UPSTREAM: Final = ResponsesUpstream()
SPEC: Final = DialectSpec(
    name=DIALECT,
    title="OpenAI responses",
    errors=OpenAIErrors(),
    endpoints=(
        ChatEndpoint(
            name="openai_responses",
            paths=("/v1/responses",),
            client=CLIENT,
            passthrough=ResponsesPassthrough(CLIENT, UPSTREAM),
        ),
        CountEndpoint(name="openai_input_tokens", paths=("/v1/responses/input_tokens",), client=COUNT_CLIENT),
    ),
    error_prefixes=("/v1/responses/",),
    chat=UPSTREAM,
    traits=Traits(url_kinds=frozenset({"image", "document"})),
    layout=LAYOUT,
)

__all__ = [
    "CLIENT",
    "COUNT_CLIENT",
    "SPEC",
    "UPSTREAM",
    "ResponsesPassthrough",
    "history",
    "lifecycle",
]
