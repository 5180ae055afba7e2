"""Model discovery: lists the models of a provider in its dialect. Pages, models and bytes are bounded."""

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct, structs

from intellirouter.core import Deployment, Upstream, UpstreamRequest, errors

_MAX_PAGES: Final = 20
_MAX_MODELS: Final = 5000
_MAX_BYTES: Final = 4 * 1024 * 1024
"""For each page. The largest known list, of several hundred models with long descriptions, has less than 1 MiB."""
_QUICK_BYTES: Final = 64 * 1024
"""Larger pages are decoded in a thread."""
_MAX_NAME_CHARS: Final = 200
_CONTEXT_MEMBERS: Final = ("context_length", "context_window", "max_model_len", "max_context_length", "inputTokenLimit")
_ANTHROPIC: Final = (("anthropic-version", "2023-06-01"),)


class DiscoveredModel(Struct, frozen=True, kw_only=True):
    """One model of a provider."""

    id: str
    """The value for `model` in a deployment."""
    context_tokens: int | None = None
    """None if the provider does not report it."""


class _Page(Struct, frozen=True):
    rows: list[Any]
    next_path: str | None = None


class _Listing(Struct, frozen=True):
    """How models are listed in one dialect."""

    path: str
    read: Callable[[Any], _Page]
    name: Callable[[dict[str, Any]], Any]
    headers: tuple[tuple[str, str], ...] = ()


async def discover_models(upstream: Upstream, deployment: Deployment) -> tuple[DiscoveredModel, ...]:
    """Return the models that the deployment's provider lists, in its order, each once.

    The upstream model of `deployment` is ignored. Raises `UpstreamError`.
    """
    dialect = deployment.dialects[0]
    listing = _LISTINGS.get(dialect, _LISTINGS["openai_chat"])
    if dialect == "bedrock":
        deployment = _control_plane(deployment)
    found: dict[str, DiscoveredModel] = {}
    path = listing.path
    for _ in range(_MAX_PAGES):
        page = await _page(upstream, deployment, listing, path)
        for row in page.rows:
            model = _model(listing, row)
            if model is not None:
                found.setdefault(model.id, model)
        if page.next_path is None or len(found) >= _MAX_MODELS:
            break
        path = page.next_path
    return tuple(found.values())[:_MAX_MODELS]


async def _page(upstream: Upstream, deployment: Deployment, listing: _Listing, path: str) -> _Page:
    request = UpstreamRequest(method="GET", path=path, headers=listing.headers)
    response = await upstream.send(deployment, request)
    try:
        body = await response.read(_MAX_BYTES)
    finally:
        response.abort()
    name = deployment.name
    if response.status in {401, 403}:
        raise errors.UpstreamAuthFailed(f"{name}: The provider rejected the credential with status {response.status}.")
    if response.status != 200:
        raise errors.UpstreamUnavailable(
            f"{name}: The provider did not list its models. It responded with status {response.status}.",
            hint="Check the provider's base_url. If it cannot list models, configure them under deployments.",
        )
    try:
        if len(body) <= _QUICK_BYTES:
            return listing.read(msgspec.json.decode(body))
        return listing.read(await asyncio.to_thread(msgspec.json.decode, body))
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError, RecursionError):
        raise errors.UpstreamMalformed(f"{name}: The provider's response is not a valid list of models.") from None


def _model(listing: _Listing, row: Any) -> DiscoveredModel | None:
    """Return the model of one row, or None if the row has no usable name."""
    if not isinstance(row, dict):
        return None
    name = listing.name(row)
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME_CHARS or not name.isprintable():
        return None
    sizes = [row[member] for member in _CONTEXT_MEMBERS if isinstance(row.get(member), int)]
    return DiscoveredModel(id=name, context_tokens=next((size for size in sizes if 0 < size < 2**40), None))


def _control_plane(deployment: Deployment) -> Deployment:
    """Return a deployment for the host where Bedrock lists models: it differs from the one that serves them."""
    base_url = deployment.address.base_url.replace("://bedrock-runtime", "://bedrock", 1)
    return structs.replace(deployment, address=structs.replace(deployment.address, base_url=base_url))


def _rows(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _openai(body: Any) -> _Page:
    return _Page(_rows(body if isinstance(body, list) else body["data"]))  # some vendors send a bare list


def _anthropic(body: Any) -> _Page:
    last = body.get("last_id")
    has_more = body.get("has_more") is True and isinstance(last, str) and last
    return _Page(_rows(body["data"]), f"/v1/models?limit=1000&after_id={quote(last, safe='')}" if has_more else None)


def _gemini(body: Any) -> _Page:
    token = body.get("nextPageToken")
    has_more = isinstance(token, str) and token
    rows = _rows(body.get("models", []))
    return _Page(rows, f"/models?pageSize=1000&pageToken={quote(token, safe='')}" if has_more else None)


def _gemini_name(row: dict[str, Any]) -> Any:
    name = row.get("name")
    return name.rpartition("models/")[2] if isinstance(name, str) else None


_LISTINGS: Final = {
    "openai_chat": _Listing("/models", _openai, lambda row: row.get("id")),
    "anthropic_messages": _Listing("/v1/models?limit=1000", _anthropic, lambda row: row.get("id"), _ANTHROPIC),
    "gemini": _Listing("/models?pageSize=1000", _gemini, _gemini_name),
    "ollama": _Listing("/api/tags", lambda body: _Page(_rows(body["models"])), lambda row: row.get("name")),
    "bedrock": _Listing(
        "/foundation-models", lambda body: _Page(_rows(body["modelSummaries"])), lambda row: row.get("modelId")
    ),
}
