"""OpenAI's Responses dialect, for clients such as Codex and the `openai` SDKs, and for OpenAI and compatible upstreams.

Public names: `SPEC`; `CLIENT` (`POST /v1/responses`), `COUNT_CLIENT` (`POST /v1/responses/input_tokens`), `UPSTREAM`
and `ResponsesPassthrough`. The client side is in `client`, `count`, `client_*` and `response_envelope`, the upstream
side in `upstream` and `upstream_*`. Both use `encrypted_content` and `fields`. `history`, `lifecycle` and `storage` are
for the room that stores responses.
"""

from typing import Final

from intellirouter.dialects.openai.client_errors import OpenAIErrors
from intellirouter.dialects.openai_responses import history, lifecycle
from intellirouter.dialects.openai_responses.client import ResponsesClient
from intellirouter.dialects.openai_responses.count import InputTokensClient
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.passthrough import ResponsesPassthrough
from intellirouter.dialects.openai_responses.upstream import ResponsesUpstream
from intellirouter.dialects.openai_responses.upstream_request import LAYOUT
from intellirouter.dialects.spec import COMMON_IMAGE_TYPES, ChatEndpoint, CountEndpoint, DialectSpec, Traits
from intellirouter.dialects.wire.model_member import ModelMember
from intellirouter.dialects.wire.tool_name_rule import OPENAI_NAMES

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
            unique_members=("model", "stream", "background", "store", "previous_response_id"),
        ),
        CountEndpoint(name="openai_input_tokens", paths=("/v1/responses/input_tokens",), client=COUNT_CLIENT),
    ),
    error_prefixes=("/v1/responses/",),
    chat=UPSTREAM,
    traits=Traits(url_kinds=frozenset({"image", "document"}), image_types=COMMON_IMAGE_TYPES, tool_names=OPENAI_NAMES),
    answer_model=ModelMember(event=("response", "model")),
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
