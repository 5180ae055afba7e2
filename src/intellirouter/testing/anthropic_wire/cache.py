"""The prompt cache: what stood before a mark is written once and read from then on."""

import hashlib
from collections import OrderedDict
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.testing.anthropic_wire.blocks import block_tokens

MAX_KEPT: Final = 10_000


class CacheUse(Struct, frozen=True):
    """Tokens of one prompt that came from the cache or went into it."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


class PromptCache:
    """Remembers prefixes. Real caches forget after minutes and skip short prompts; this one does neither."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def clear(self) -> None:
        self._seen.clear()

    def use(self, model: str, prompt: list[dict[str, Any]]) -> CacheUse:
        """`prompt` are tools, system and message blocks in the order that the cache sees them."""
        digest = hashlib.blake2b(model.encode())
        tokens = read = at_mark = 0
        long_lived = False
        new: list[bytes] = []
        for block in prompt:
            mark = block.get("cache_control")
            digest.update(
                msgspec.json.encode({name: value for name, value in block.items() if name != "cache_control"})
            )
            tokens += prompt_tokens(block)
            if mark is not None:
                key = digest.digest()
                at_mark, long_lived = tokens, mark.get("ttl") == "1h"
                if key in self._seen:
                    read = tokens
                new.append(key)
        for key in new:
            self._seen[key] = None
            if len(self._seen) > MAX_KEPT:
                self._seen.popitem(last=False)
        written = at_mark - read
        return CacheUse(read, 0 if long_lived else written, written if long_lived else 0)


def prompt_tokens(block: dict[str, Any]) -> int:
    """Count a content block or a tool."""
    is_tool = "input_schema" in block or ("name" in block and "input" not in block)
    return block_tokens({"type": "tool_use", "name": "", "input": block} if is_tool else block)
