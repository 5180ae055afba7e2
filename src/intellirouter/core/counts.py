"""Numbers of things in messages."""


def format_count(number: int, noun: str) -> str:
    """Return `1 model`, `2 models`, …"""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
