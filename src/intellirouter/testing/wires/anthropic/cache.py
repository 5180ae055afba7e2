"""The pieces of a request for the prompt cache."""

from collections.abc import Iterator
from typing import Any

import msgspec

from intellirouter.testing.wires.anthropic.blocks import block_tokens
from intellirouter.testing.wires.shared.prompt_cache import Piece


def pieces_of(prompt: list[dict[str, Any]]) -> Iterator[Piece]:
    """Yield the pieces of `prompt`: tools, system blocks and message blocks, in this order."""
    for block in prompt:
        mark = block.get("cache_control")
        content = msgspec.json.encode({name: value for name, value in block.items() if name != "cache_control"})
        yield Piece(content, prompt_tokens(block), None if mark is None else mark.get("ttl") or "5m")


def prompt_tokens(block: dict[str, Any]) -> int:
    """Return the tokens of a content block or a tool."""
    is_tool = "input_schema" in block or ("name" in block and "input" not in block)
    return block_tokens({"type": "tool_use", "name": "", "input": block} if is_tool else block)
