"""To which session a request belongs: the one that its body names, or the one whose prompts begin alike. Pure.

It reads the members of all chat dialects, because none of them gives another meaning to the name of one. A body that
it cannot read belongs to no session. Most requests are chat completions: what matters of them has been decoded already.
All others are decoded a second time.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Call, estimate_tokens
from intellirouter.dialects.openai_chat.passthrough import ChatCall, ChatRequest

_OPERATIONS: Final = frozenset({"chat", "completions"})
"""The operations whose upstreams cache prompts."""
_MIN_CACHED_TOKENS: Final = 1024
"""No provider caches shorter prompts."""
_MAX_SESSION_CHARS: Final = 512
_MAX_START_BYTES: Final = 512
"""How much of the system prompt, of the tools and of a turn is compared."""
_MAX_TURNS: Final = 4
"""The first turn of the user is looked for among so many turns."""
_MAX_TURN_BYTES: Final = 64 * 1024
"""A larger turn is not decoded: its first bytes are compared instead of its text."""
_NO_BYTES: Final = msgspec.Raw()


class PromptStart(Struct, frozen=True):
    """What makes requests belong together."""

    session: str
    """What the client names as the session; empty: nothing."""
    start: tuple[bytes, ...] = ()
    """The beginning of the prompt if `session` is empty: system prompt, tools, and the turns up to the user's first."""


class _Body(Struct):
    prompt_cache_key: Any = None
    conversation: Any = None
    metadata: Any = None
    system: msgspec.Raw = _NO_BYTES
    instructions: msgspec.Raw = _NO_BYTES
    systemInstruction: msgspec.Raw = _NO_BYTES  # noqa: N815 - the name on the wire
    system_instruction: msgspec.Raw = _NO_BYTES
    tools: msgspec.Raw = _NO_BYTES
    messages: list[msgspec.Raw] | None = None
    contents: list[msgspec.Raw] | None = None
    input: str | list[msgspec.Raw] | None = None


class _Role(Struct):
    role: Any = None


class _Turn(_Role):
    content: Any = None
    parts: Any = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode
_decode_role: Final = msgspec.json.Decoder(_Role).decode
_decode_turn: Final = msgspec.json.Decoder(_Turn).decode


def prompt_start_of(call: Call, *, recognizes_prompts: bool) -> PromptStart | None:
    """Return what makes the request belong to a session; None if it belongs to none.

    Without `recognizes_prompts`, only what the client names counts. Call it off the event loop if the call is large.
    """
    body = call.body
    if call.operation not in _OPERATIONS:
        return None
    is_long = recognizes_prompts and estimate_tokens(len(body)) >= _MIN_CACHED_TOKENS
    if isinstance(call, ChatCall):
        request = call.source
        if session := _named_session(request.prompt_cache_key, request.metadata):
            return PromptStart(session)
        return _start_of_chat(request) if is_long else None
    if not is_long and not _may_name_session(call):
        return None
    try:
        members = _decode_body(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if session := _named_session(members.prompt_cache_key, members.metadata, members.conversation):
        return PromptStart(session)
    if not is_long or not (turns := _first_turns(members)):
        return None
    outside = (members.system, members.instructions, members.systemInstruction, members.system_instruction)
    return PromptStart("", tuple([_start_of(each) for each in (*outside, members.tools)]) + turns)


def _may_name_session(call: Call) -> bool:
    """Return whether the body may name a session. It costs less than decoding it."""
    body = call.body
    if b'"metadata"' in body or b'"prompt_cache_key"' in body:
        return True
    return call.dialect == "openai_responses" and b'"conversation"' in body


def _named_session(prompt_cache_key: Any, metadata: Any, conversation: Any = None) -> str:
    """Return the session that the body names. A user is none: applications send the same one for all requests."""
    if prompt_cache_key is None and metadata is None and conversation is None:
        return ""
    named = [conversation.get("id") if isinstance(conversation, dict) else conversation, prompt_cache_key]
    if isinstance(metadata, dict):
        named.append(metadata.get("session_id"))
        user = metadata.get("user_id")  # Claude Code puts the session into it.
        named.append(user if isinstance(user, str) and "session" in user else None)
    return next((each[:_MAX_SESSION_CHARS] for each in named if each and isinstance(each, str)), "")


def _start_of_chat(request: ChatRequest) -> PromptStart | None:
    """Return the beginning of a chat request; None if it has no turn of the user."""
    tools = "".join([each.function.name for each in request.tools or () if each.function is not None])
    texts = [tools[:_MAX_START_BYTES]]
    for message in request.messages[:_MAX_TURNS]:
        content = message.content
        if isinstance(content, list):
            content = "\n".join([part.text for part in content if part.text is not None])
        texts.append("" if content is None else content[:_MAX_START_BYTES])
        if message.role == "user":
            return PromptStart("", tuple([text.encode(errors="surrogatepass") for text in texts]))
    return None


def _start_of(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:_MAX_START_BYTES])


def _first_turns(members: _Body) -> tuple[bytes, ...]:
    """Return the beginnings of the turns up to the first one of the user. Empty if there is none."""
    if members.input and isinstance(members.input, str):
        return (members.input[:_MAX_START_BYTES].encode(errors="surrogatepass"),)
    turns = members.messages or members.contents or members.input or []
    found: list[bytes] = []
    for raw in turns[:_MAX_TURNS]:
        role, text = _read_turn(bytes(raw))
        found.append(text)
        if role is None or role == "user":
            return tuple(found)
    return ()


def _read_turn(raw: bytes) -> tuple[Any, bytes]:
    """Return the role of a turn, and the beginning of its text, which does not contain marks of the prompt cache."""
    try:
        if len(raw) > _MAX_TURN_BYTES:
            return _decode_role(raw).role, raw[:_MAX_START_BYTES]
        turn = _decode_turn(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None, raw[:_MAX_START_BYTES]
    content = turn.content if turn.parts is None else turn.parts
    parts = content if isinstance(content, list) else [content]
    texts = [each.get("text") if isinstance(each, dict) else each for each in parts]
    text = "\n".join([each for each in texts if isinstance(each, str)])
    return turn.role, text[:_MAX_START_BYTES].encode(errors="surrogatepass")
