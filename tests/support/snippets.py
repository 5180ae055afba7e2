"""The examples in the documentation: code blocks of a page, and the commands in its shell blocks."""

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SHELLS = {"console", "sh", "bash", "shell"}


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    text = (REPO / page).read_text(encoding="utf-8")
    return [block for found, block in _FENCE.findall(text) if found == language]


def commands(page: str) -> list[str]:
    """Return the commands of a page as written, without the prompt. A continued command is one of several lines."""
    text = (REPO / page).read_text(encoding="utf-8")
    shown = [block.replace("\\\n", "\\\0") for language, block in _FENCE.findall(text) if language in _SHELLS]
    lines = [line.removeprefix("$ ").replace("\\\0", "\\\n") for block in shown for line in block.splitlines()]
    return [line for line in lines if line.strip()]
