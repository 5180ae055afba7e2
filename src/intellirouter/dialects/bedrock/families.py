"""What the families of models on Bedrock take beside the common parameters, by the model's id.

Sources: AWS, "Inference request parameters and response fields for foundation models"; Amazon Nova user guides.
Behind an ARN of an own inference profile the family is not known; then only the common ground is used.
"""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from intellirouter.dialects.anthropic_messages import families as claude_families


class Family(Struct, frozen=True, kw_only=True):
    name: str = ""
    top_k: tuple[str, ...] = ()
    """Where `top_k` goes in `additionalModelRequestFields`; empty = it takes none."""
    penalties: bool = False
    """Takes `presence_penalty` and `frequency_penalty` there."""
    seed: bool = False
    caches_messages: bool = False
    caches_tools: bool = False
    has_result_status: bool = False
    """Knows `status` of tool results."""
    claude: claude_families.Family | None = None


_FAMILIES: Final = (
    ("nova", Family(name="nova", top_k=("inferenceConfig", "topK"), caches_messages=True, has_result_status=True)),
    ("gpt-oss", Family(name="gpt-oss")),
    ("cohere", Family(name="cohere", top_k=("k",), penalties=True, seed=True)),
    ("mistral", Family(name="mistral", top_k=("top_k",))),
    ("mixtral", Family(name="mistral", top_k=("top_k",))),
)
_OTHER: Final = Family()


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """Return the facts for a model id: `us.anthropic.claude-sonnet-4-6`, `amazon.nova-2-lite-v1:0`."""
    name = model.lower()
    if "claude" in name:
        return Family(
            name="claude",
            top_k=("top_k",),
            caches_messages=True,
            caches_tools=True,
            has_result_status=True,
            claude=claude_families.family_of(name),
        )
    return next((family for mark, family in _FAMILIES if mark in name), _OTHER)
