"""Amazon Bedrock's Converse API, for upstreams only.

Public names: `SPEC` and `UPSTREAM`. `event_stream` reads and writes AWS's binary framing. The upstream side is in
`upstream` and `upstream_*`.
"""

from typing import Final

from intellirouter.dialects.bedrock.upstream import UPSTREAM
from intellirouter.dialects.bedrock.upstream_content import DIALECT
from intellirouter.dialects.spec import COMMON_IMAGE_TYPES, DialectSpec, Traits
from intellirouter.dialects.wire.tool_name_rule import CLAUDE_PROPERTIES, NameRule

SPEC: Final = DialectSpec(
    name=DIALECT,
    title="Bedrock",
    chat=UPSTREAM,
    counts=UPSTREAM,
    traits=Traits(
        image_types=COMMON_IMAGE_TYPES,
        tool_names=NameRule(64),
        tool_properties=CLAUDE_PROPERTIES,
        cache_marks="by_model",
    ),
)

__all__ = ["SPEC", "UPSTREAM"]
