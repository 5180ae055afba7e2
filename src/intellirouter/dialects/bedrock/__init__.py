"""Amazon Bedrock's Converse API, the upstream's side; no client speaks it.

Door: `UPSTREAM`. `event_stream` is AWS's binary framing, which the mock vendor writes, too.
"""

from intellirouter.dialects.bedrock.upstream import UPSTREAM

__all__ = ["UPSTREAM"]
