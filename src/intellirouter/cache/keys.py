"""The key of a request in the cache: SHA-256 over everything that can change the answer. Pure.

Two requests have the same key only if every upstream must answer them in the same way. The order of members and the
white space of a JSON body make no difference. Whatever cannot be compared with certainty is compared byte by byte.
"""

import hashlib
from typing import Final

import msgspec

from intellirouter.catalog import ResolvedModel
from intellirouter.core import Call, Deployment
from intellirouter.dialects import Endpoint

_VERSION: Final = b"1"
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
_MAX_MODELS: Final = 4096


class CacheKeys:
    """Computes keys with one configuration. A reload that changes the deployments of a model changes its keys."""

    def __init__(self, *, names_requested_model: bool) -> None:
        """`names_requested_model`: whether answers name the model as the client does."""
        self._names_requested_model = b"\1" if names_requested_model else b"\0"
        self._models: dict[str, bytes] = {}
        """By name: the digest of everything that the configuration says about a model."""

    def key_of(self, tenant: str, endpoint: Endpoint, call: Call, resolved: ResolvedModel) -> bytes:
        """Return the key of a request. Call it off the event loop if the call is large."""
        context = call.context
        body = canonical_body(call.body, call.dialect) if endpoint.is_json else call.body
        parts = [
            _VERSION,
            tenant.encode(),
            endpoint.name.encode(),
            call.dialect.encode(),
            b"\1" if call.is_stream else b"\0",
            call.model.encode("utf-8", "surrogatepass"),
            self._models.get(resolved.model) or self._digest_of(resolved),
            context.query.encode("utf-8", "surrogatepass"),
            repr(context.headers).encode("utf-8", "surrogatepass") if context.headers else b"",
        ]
        digest = hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts]))
        digest.update(body)
        return digest.digest()

    def _digest_of(self, resolved: ResolvedModel) -> bytes:
        if len(self._models) >= _MAX_MODELS:
            self._models.clear()
        described = [self._names_requested_model, resolved.model.encode(), resolved.strategy.encode()]
        for deployments in (resolved.pool, resolved.fallbacks):
            described.append(b"%d" % len(deployments))
            described += [_described(each) for each in deployments]
        digest = hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in described])).digest()
        self._models[resolved.model] = digest
        return digest


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
    # A repeated name is lost when the body is decoded, and its colon with it. Escaped colons could make up for it.
    if canonical.count(b":") != body.count(b":") or b"\\u003" in body:
        return b"\0" + body
    neutral = _NEUTRAL_MEMBERS.get(dialect, _NOTHING)
    if isinstance(value, dict) and not neutral.isdisjoint(value):
        return _encode({name: each for name, each in value.items() if name not in neutral})
    return canonical


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
