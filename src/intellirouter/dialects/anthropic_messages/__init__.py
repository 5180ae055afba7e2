"""Anthropic's Messages dialect, for clients such as Claude Code and for upstreams with Claude or compatible models.

Public names: `SPEC`; `CLIENT` (`POST /v1/messages`), `COUNT_CLIENT` (`POST /v1/messages/count_tokens`), `UPSTREAM`
and `ERRORS`. The client side is in `client` and `client_*`, the upstream side in `upstream` and `upstream_*`. Both use
`wire` and `stop_reasons`.
"""

from typing import Final

from intellirouter.dialects.anthropic_messages.client import CountTokensClient, MessagesClient
from intellirouter.dialects.anthropic_messages.client_errors import ERRORS
from intellirouter.dialects.anthropic_messages.client_stream import PINGS
from intellirouter.dialects.anthropic_messages.passthrough import MessagesPassthrough
from intellirouter.dialects.anthropic_messages.upstream import MessagesUpstream
from intellirouter.dialects.anthropic_messages.upstream_request import LAYOUT
from intellirouter.dialects.anthropic_messages.wire import COUNT_PATH, DIALECT, MESSAGES_PATH
from intellirouter.dialects.spec import COMMON_IMAGE_TYPES, ChatEndpoint, CountEndpoint, DialectSpec, Traits
from intellirouter.dialects.wire.model_member import ModelMember
from intellirouter.dialects.wire.tool_name_rule import CLAUDE_PROPERTIES, NameRule

CLIENT: Final = MessagesClient()
COUNT_CLIENT: Final = CountTokensClient()
UPSTREAM: Final = MessagesUpstream()
_HEADERS: Final = frozenset({b"anthropic-beta", b"anthropic-version"})
SPEC: Final = DialectSpec(
    name=DIALECT,
    title="Anthropic",
    errors=ERRORS,
    endpoints=(
        ChatEndpoint(
            name="anthropic_messages",
            paths=(MESSAGES_PATH,),
            client=CLIENT,
            passthrough=MessagesPassthrough(CLIENT, UPSTREAM),
            header_names=_HEADERS,
            keep_alive=PINGS,
        ),
        CountEndpoint(name="anthropic_count_tokens", paths=(COUNT_PATH,), client=COUNT_CLIENT, header_names=_HEADERS),
    ),
    error_prefixes=(MESSAGES_PATH,),
    error_header=b"anthropic-version",
    chat=UPSTREAM,
    counts=UPSTREAM,
    traits=Traits(
        url_kinds=frozenset({"image", "document"}),
        image_types=COMMON_IMAGE_TYPES,
        tool_names=NameRule(128),
        tool_properties=CLAUDE_PROPERTIES,
        cache_marks="anywhere",
    ),
    answer_model=ModelMember(event=("message", "model")),
    layout=LAYOUT,
)

__all__ = ["CLIENT", "COUNT_CLIENT", "ERRORS", "SPEC", "UPSTREAM"]
