"""OpenAI's chat completions (`POST /v1/chat/completions`), the dialect of most clients and most upstreams.

Door: `SPEC`; `CLIENT`, `UPSTREAM`; `OpenAIChatPassthrough`; `CheckedChatPassthrough` also checks the answers.
Client side: `client` and `client_*`, `media`. Upstream side: `upstream` and `upstream_*`, and `quirks` for vendors'
deviations. Both: `reasoning`. Same dialect on both sides: `passthrough`, `passthrough_stream`, `checked_passthrough`.
"""

from typing import Final

from intellirouter.dialects.openai.client_errors import OpenAIErrors
from intellirouter.dialects.openai_chat.checked_passthrough import CheckedChatPassthrough
from intellirouter.dialects.openai_chat.client import ChatClient
from intellirouter.dialects.openai_chat.passthrough import OpenAIChatPassthrough
from intellirouter.dialects.openai_chat.reasoning import DIALECT
from intellirouter.dialects.openai_chat.upstream import ChatUpstream
from intellirouter.dialects.openai_chat.upstream_request import LAYOUT
from intellirouter.dialects.spec import ChatEndpoint, DialectSpec, Traits
from intellirouter.dialects.wire.tool_name_rule import OPENAI_NAMES

CLIENT: Final = ChatClient()
UPSTREAM: Final = ChatUpstream()
SPEC: Final = DialectSpec(
    name=DIALECT,
    title="OpenAI chat",
    errors=OpenAIErrors(),
    endpoints=(
        ChatEndpoint(
            name="openai_chat", paths=("/v1/chat/completions",), client=CLIENT, passthrough=CheckedChatPassthrough()
        ),
    ),
    error_prefixes=("/v1/files", "/v1/batches"),
    chat=UPSTREAM,
    traits=Traits(has_choices=True, url_kinds=frozenset({"image", "video"}), tool_names=OPENAI_NAMES),
    layout=LAYOUT,
)

__all__ = ["CLIENT", "SPEC", "UPSTREAM", "CheckedChatPassthrough", "OpenAIChatPassthrough"]
