"""Amazon Bedrock's Converse API: upstreams only, no client speaks it.

Door: `SPEC`; `UPSTREAM`; `event_stream` is AWS's binary framing, which the mock vendor writes, too.
Upstream side: `upstream` and `upstream_*`.
"""

from typing import Final

from intellirouter.dialects.bedrock.upstream import UPSTREAM
from intellirouter.dialects.bedrock.upstream_content import DIALECT
from intellirouter.dialects.spec import DialectSpec

SPEC: Final = DialectSpec(name=DIALECT, title="Bedrock", chat=UPSTREAM, counts=UPSTREAM)

__all__ = ["SPEC", "UPSTREAM"]
