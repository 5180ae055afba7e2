"""Information about models for Ollama's clients: `/api/tags`, `/api/ps`, `/api/show`, `/api/version`.

Source: Ollama's `docs/api.md`, "List Local Models", "List Running Models", "Show Model Information", "Version".
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.dialects.ollama.wire import created_text

_MODIFIED_S: Final = 1735689600
"""Configured models have no time of modification, so the lists show 2025-01-01 for all of them."""
VERSION: Final = "0.24.0"
"""Clients use Ollama's version to find out what it supports: reasoning, tools in streams, schemas."""


class ListedModel(Struct, frozen=True, kw_only=True):
    """A model that clients can use. Unknown fields have their default."""

    name: str
    modified_s: int = _MODIFIED_S
    size: int = 0
    """In bytes."""
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    context_tokens: int | None = None
    capabilities: tuple[str, ...] = ("completion",)
    """`completion`, `tools`, `vision`, `thinking`, `embedding`, `insert`."""
    expires_s: int = 0
    """When a loaded model will be unloaded; 0: never."""


def tags(models: Sequence[ListedModel]) -> bytes:
    return msgspec.json.encode({"models": [_entry(model) for model in models]})


def _entry(model: ListedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": created_text(model.modified_s),
        "size": model.size,
        "digest": hashlib.sha256(model.name.encode()).hexdigest(),
        "details": _details(model),
        "capabilities": model.capabilities,
    }


def _details(model: ListedModel) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": model.family,
        "families": [model.family] if model.family else [],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def ps(models: Sequence[ListedModel]) -> bytes:
    """Return the list of loaded models."""
    return msgspec.json.encode({"models": [_loaded(model) for model in models]})


def _loaded(model: ListedModel) -> dict[str, Any]:
    entry = _entry(model)
    del entry["modified_at"], entry["capabilities"]
    entry["expires_at"] = created_text(model.expires_s) if model.expires_s else "9999-12-31T23:59:59Z"
    entry["size_vram"] = model.size
    entry["context_length"] = model.context_tokens or 0
    return entry


def show(model: ListedModel) -> bytes:
    """Return the information about one model. Clients read its context length from `model_info`."""
    architecture = model.family or "unknown"
    info: dict[str, Any] = {"general.architecture": architecture, "general.basename": model.name}
    if model.context_tokens is not None:
        info[f"{architecture}.context_length"] = model.context_tokens
    return msgspec.json.encode(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _details(model),
            "model_info": info,
            "capabilities": model.capabilities,
            "modified_at": created_text(model.modified_s),
        }
    )


def version(text: str = VERSION) -> bytes:
    return msgspec.json.encode({"version": text})
