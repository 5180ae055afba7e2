"""Anthropic's Messages dialect: Claude Code and the `anthropic` SDKs as clients, Claude and its likes as upstreams.

Door: `CLIENT` (`POST /v1/messages`), `COUNT_CLIENT` (`POST /v1/messages/count_tokens`), `UPSTREAM`, `ERRORS`.
Client's side: `client`, `request_in`, `blocks_in`, `answer_out`, `stream_out`. Upstream's side: `upstream`,
`request_out`, `turns`, `blocks_out`, `tools_out`, `schema_out`, `thinking_out`, `answer_in`, `stream_in`, with
`families` for what a model takes. Both: `wire`, `stops`, `error_style`.
"""

from typing import Final

from intellirouter.dialects.anthropic_messages.client import CountTokensClient, MessagesClient
from intellirouter.dialects.anthropic_messages.client_errors import ERRORS
from intellirouter.dialects.anthropic_messages.upstream import MessagesUpstream

CLIENT: Final = MessagesClient()
COUNT_CLIENT: Final = CountTokensClient()
UPSTREAM: Final = MessagesUpstream()

__all__ = ["CLIENT", "COUNT_CLIENT", "ERRORS", "UPSTREAM"]
