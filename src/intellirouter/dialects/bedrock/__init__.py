"""Amazon Bedrock's Converse API: upstreams only, no client speaks it.

Door: `UPSTREAM`; `event_stream` is AWS's binary framing, which the mock vendor writes, too.
Upstream's side: `upstream`, `request_out`, `content_out`, `media_out`, `answer_in`, `stream_in`, `errors_in`, with
`families` for what a model takes.
"""

from intellirouter.dialects.bedrock.upstream import UPSTREAM

__all__ = ["UPSTREAM"]
