"""What is said, whatever the protocol: deterministic in the request, made without I/O.

Door: `Ask` in, `Completion` out through `plan_completion`; magic model names; the toy tokeniser; instances of JSON
Schemas; the embedding; the prompt cache.
"""

from intellirouter.testing.plan.ask import Ask, Tool
from intellirouter.testing.plan.completion import Choice, Completion, ToolCall
from intellirouter.testing.plan.embedding import embed, embed_text
from intellirouter.testing.plan.magic import FAKE_MODELS, FLAKY_FAULT, PLAIN, Magic, magic_of
from intellirouter.testing.plan.planner import plan_completion
from intellirouter.testing.plan.prompt_cache import CacheUse, Piece, PromptCache
from intellirouter.testing.plan.schema_instance import instance_of
from intellirouter.testing.plan.tokens import count_tokens, lorem, split_tokens

__all__ = [
    "FAKE_MODELS",
    "FLAKY_FAULT",
    "PLAIN",
    "Ask",
    "CacheUse",
    "Choice",
    "Completion",
    "Magic",
    "Piece",
    "PromptCache",
    "Tool",
    "ToolCall",
    "count_tokens",
    "embed",
    "embed_text",
    "instance_of",
    "lorem",
    "magic_of",
    "plan_completion",
    "split_tokens",
]
