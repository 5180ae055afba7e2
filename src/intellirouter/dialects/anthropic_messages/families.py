"""What generations of Claude models accept beside the common ground, by name: facts of Anthropic's documentation.

Before 4.6 thinking takes a token budget; from 4.6 on it is adaptive, with an effort; from 4.7 on `temperature`, `top_p`
and `top_k` are refused; Fable and Mythos cannot stop thinking. Other vendors' models behind this dialect take budgets.
"""

import re
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

_VERSIONED: Final = re.compile(r"claude-(?:[a-z]+-)(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OLD: Final = re.compile(r"claude-(?:instant|v?2|3(?![.-]7))")
_ALWAYS_THINKS: Final = re.compile(r"claude-(?:fable|mythos)")
_FIRST_ADAPTIVE: Final = (4, 6)
_FIRST_WITHOUT_SAMPLING: Final = (4, 7)
_FIRST_THINKING_UNASKED: Final = (5, 0)


class Family(Struct, frozen=True, kw_only=True):
    thinking: Literal["none", "budget", "adaptive", "always"] = "budget"
    takes_sampling: bool = True
    """Knows `temperature`, `top_p`, `top_k`."""
    takes_both: bool = False
    """Accepts `temperature` beside `top_p`."""
    has_xhigh: bool = True
    """Knows the effort `xhigh`."""
    thinks_unasked: bool = False
    """Must be told not to think."""


_OTHER_VENDOR: Final = Family(takes_both=True)
_BEFORE_THINKING: Final = Family(thinking="none", takes_both=True)
_MODERN: Final = Family(thinking="adaptive", takes_sampling=False, thinks_unasked=True)
_ALWAYS: Final = Family(thinking="always", takes_sampling=False, thinks_unasked=True)


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """Return the facts for an upstream's model name: `claude-opus-4-1-20250805`, `anthropic.claude-sonnet-4-6`."""
    name = model.lower()
    if "claude" not in name:
        return _OTHER_VENDOR
    if _OLD.search(name):
        return _BEFORE_THINKING
    if _ALWAYS_THINKS.search(name):
        return _ALWAYS
    found = _VERSIONED.search(name)
    if found is None:
        return Family() if "claude-3" in name else _MODERN
    version = int(found[1]), int(found[2] or 0)
    return Family(
        thinking="budget" if version < _FIRST_ADAPTIVE else "adaptive",
        takes_sampling=version < _FIRST_WITHOUT_SAMPLING,
        has_xhigh=version >= _FIRST_WITHOUT_SAMPLING,
        thinks_unasked=version >= _FIRST_THINKING_UNASKED,
    )
