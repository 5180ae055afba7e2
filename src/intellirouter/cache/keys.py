"""The key of a request in the cache: SHA-256 over everything that can change the answer. Pure.

Two requests have the same key only if every upstream must answer them in the same way. The order of members and the
white space of a JSON body make no difference. Whatever cannot be compared with certainty is compared byte by byte.
"""

import hashlib
from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Call, Deployment, RequestContext
from intellirouter.dialects import Endpoint

_VERSION: Final = 1
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_NOTHING: Final[frozenset[str]] = frozenset()
_NEUTRAL_MEMBERS: Final = {
    "openai_chat": frozenset({"user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention"}),
    "openai_completions": frozenset({"user"}),
    "openai_embeddings": frozenset({"user"}),
    "anthropic_messages": frozenset({"metadata"}),
    "gemini": frozenset({"labels"}),
}
"""Top-level members by dialect that say who asks, and do not change the answer. Responses repeat them in the answer."""
_TURNS: Final = ("messages", "contents", "input")
"""The members that contain the turns of a conversation, in all dialects."""
_CONTENTS: Final = ("content", "parts")
"""The members of a turn that contain its text, in all dialects."""
_MAX_PREFIXES: Final = 4096
_MAX_KNOWN_BODY_BYTES: Final = 16 * 1024
_MAX_KNOWN_BYTES: Final = 4 * 1024 * 1024
_Outside = tuple[str, str, bool, str, str, RequestContext]
"""Tenant, endpoint, whether it is a stream, the model as requested and as resolved, path and headers."""


class CacheKeys:
    """Computes keys with one configuration. A reload that changes the deployments of a model changes its keys."""

    def __init__(self, *, names_requested_model: bool) -> None:
        """`names_requested_model`: whether answers name the model as the client does."""
        self._names_requested_model = b"\1" if names_requested_model else b"\0"
        self._prefixes: dict[_Outside, hashlib._Hash] = {}
        """The hash of everything but the body, because the rest is the same for many requests."""
        self._known: dict[_Outside, dict[bytes, bytes]] = {}
        """Keys of recent requests by their bodies, because a body that repeats is usually the same byte by byte."""
        self._known_bytes = 0

    def key_of(self, tenant: str, endpoint: Endpoint, call: Call, resolved: ResolvedModel) -> bytes:
        """Return the key of a request. Call it off the event loop if the call is large."""
        outside = (tenant, endpoint.name, call.is_stream, call.model, resolved.model, _compared(call.context))
        digest = (self._prefixes.get(outside) or self._prefix_of(outside, call.dialect, resolved)).copy()
        digest.update(canonical_body(call.body, call.dialect) if endpoint.is_json else call.body)
        key = digest.digest()
        if len(call.body) <= _MAX_KNOWN_BODY_BYTES:
            self._remember(outside, call.body, key)
        return key

    def known_key_of(self, tenant: str, endpoint: Endpoint, call: Call, resolved: ResolvedModel) -> bytes | None:
        """Return the key of a request that `key_of` has got before, byte by byte; None if it is not remembered."""
        outside = (tenant, endpoint.name, call.is_stream, call.model, resolved.model, _compared(call.context))
        known = self._known.get(outside)
        return None if known is None else known.get(call.body)

    def _remember(self, outside: "_Outside", body: bytes, key: bytes) -> None:
        self._known_bytes += len(body) + len(key)
        if self._known_bytes > _MAX_KNOWN_BYTES:
            self._known, self._known_bytes = {}, len(body) + len(key)
        self._known.setdefault(outside, {})[body] = key

    def client_key_of(self, tenant: str, endpoint: Endpoint, call: Call) -> bytes:
        """Return the key of what the client has sent, whatever the configuration is. The same rules apply as above."""
        context = _compared(call.context)
        outside = repr((_VERSION, tenant, endpoint.name, call.dialect, call.is_stream, call.model, context))
        digest = hashlib.sha256(outside.encode("utf-8", "surrogatepass") + b"\0")
        digest.update(canonical_body(call.body, call.dialect) if endpoint.is_json else call.body)
        return digest.digest()

    def partition_of(
        self, tenant: str, endpoint: Endpoint, call: Call, resolved: ResolvedModel, last_turn: str
    ) -> bytes | None:
        """Return the key of everything but the text of the last turn; None if that text is not found in the body.

        Only requests with the same key may get each other's answers because their last turns are similar.
        """
        rest = body_without_last_turn(call.body, call.dialect, last_turn) if endpoint.is_json else None
        if rest is None:
            return None
        outside = (tenant, endpoint.name, call.is_stream, call.model, resolved.model, _compared(call.context))
        digest = (self._prefixes.get(outside) or self._prefix_of(outside, call.dialect, resolved)).copy()
        digest.update(b"\1" + rest)
        return digest.digest()

    def _prefix_of(self, outside: "_Outside", dialect: str, resolved: ResolvedModel) -> "hashlib._Hash":
        """Return the hash of everything but the body, to be continued."""
        if len(self._prefixes) >= _MAX_PREFIXES:
            self._prefixes.clear()
        described = repr((_VERSION, dialect, outside)).encode("utf-8", "surrogatepass")
        prefix = hashlib.sha256(b"%b%d:%b" % (self._digest_of(resolved), len(described), described))
        self._prefixes[outside] = prefix
        return prefix

    def _digest_of(self, resolved: ResolvedModel) -> bytes:
        """Return the digest of everything that the configuration says about a model."""
        described = [self._names_requested_model, resolved.model.encode(), resolved.strategy.encode()]
        for deployments in (resolved.pool, resolved.fallbacks):
            described.append(b"%d" % len(deployments))
            described += [_described(each) for each in deployments]
        return hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in described])).digest()


def idempotency_key_of(tenant: str, key_name: str | None, client_key: bytes) -> bytes:
    """Return the key under which the answer to a request with this `Idempotency-Key` is stored.

    Each API key has its own, because two programs of a tenant may count from 1.
    """
    return hashlib.sha256(repr(("idempotency", tenant, key_name, client_key)).encode()).digest()


def _compared(context: RequestContext) -> RequestContext:
    """Return what is compared of a context. The session does not change the answer."""
    return structs.replace(context, session="") if context.session else context


def canonical_body(body: bytes, dialect: str) -> bytes:
    """Return a form of a JSON body that is the same for all bodies with the same meaning. It is not for upstreams.

    Bodies that are not compared by their meaning are returned unchanged, behind a mark: those with repeated names, of
    which parsers use either one, and those that the decoder refuses.
    """
    try:
        value = _decode(body)
        canonical = _encode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return b"\0" + body
    if _may_repeat_names(body, canonical):
        return b"\0" + body
    neutral = _NEUTRAL_MEMBERS.get(dialect, _NOTHING)
    if isinstance(value, dict) and not neutral.isdisjoint(value):
        return _encode({name: each for name, each in value.items() if name not in neutral})
    return canonical


def body_without_last_turn(body: bytes, dialect: str, last_turn: str) -> bytes | None:
    """Return the canonical form of a body whose last turn has empty texts.

    None if the texts that were removed are not `last_turn`, or if the body is not compared by its meaning.
    """
    try:
        value = _decode(body)
        canonical = _encode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if not isinstance(value, dict) or _may_repeat_names(body, canonical):
        return None
    names = [name for name in _TURNS if name in value]
    if len(names) != 1:
        return None
    removed: list[str] = []
    value[names[0]] = _without_texts_of_last(value[names[0]], removed)
    if "\n".join(removed) != last_turn:
        return None
    neutral = _NEUTRAL_MEMBERS.get(dialect, _NOTHING)
    return _encode({name: each for name, each in value.items() if name not in neutral})


def _may_repeat_names(body: bytes, canonical: bytes) -> bool:
    """Return whether the body may have a name twice in one object.

    A repeated name is lost when the body is decoded, and its colon with it. Escaped colons could make up for it.
    """
    return canonical.count(b":") != body.count(b":") or b"\\u003" in body


def _without_texts_of_last(turns: Any, removed: list[str]) -> Any:
    """Return the turns with empty texts in the last one. The texts are added to `removed`, in order."""
    if isinstance(turns, str):
        removed.append(turns)
        return ""
    if not isinstance(turns, list) or not turns or not isinstance(turns[-1], dict):
        return turns
    last = turns[-1]
    for name in _CONTENTS:
        if name in last:
            last = {**last, name: _without_texts(last[name], removed)}
    return [*turns[:-1], last]


def _without_texts(content: Any, removed: list[str]) -> Any:
    if isinstance(content, str):
        removed.append(content)
        return ""
    if not isinstance(content, list):
        return content
    parts: list[Any] = []
    for part in content:
        if isinstance(part, dict) and isinstance(text := part.get("text"), str):
            removed.append(text)
            parts.append({**part, "text": ""})
        else:
            parts.append(part)
    return parts


def _described(deployment: Deployment) -> bytes:
    """Return what determines the answers of a deployment. Prices, limits, timeouts and credentials do not."""
    address = deployment.address
    parts = (
        deployment.name,
        deployment.provider,
        deployment.vendor,
        deployment.upstream_model,
        address.base_url,
        address.uds,
        address.headers,
        deployment.dialects,
        deployment.region,
        deployment.artifact,
    )
    return repr(parts).encode("utf-8", "surrogatepass")
