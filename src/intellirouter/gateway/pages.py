"""The small answers: models, health, metrics. Whole, immediate, without an exchange."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from intellirouter.catalog import Target
from intellirouter.core import errors
from intellirouter.governance import Identity
from intellirouter.pipeline import Spine

JSON: Final = b"application/json"

Page = tuple[int, bytes, bytes]
"""Status, content type, body."""

_CREATED: Final = 1735689600
"""OpenAI's list wants a creation time; configured names have none, so all say 2025-01-01."""


def list_models(spine: Spine, identity: Identity) -> Page:
    """OpenAI's `GET /v1/models`: what this caller may ask for, models before deployments."""
    rows = [_model_row(name, target) for name, target in spine.catalog.targets.items() if identity.may_use(name)]
    return 200, JSON, msgspec.json.encode({"object": "list", "data": rows})


def show_model(spine: Spine, identity: Identity, raw_name: str) -> Page:
    """OpenAI's `GET /v1/models/{model}`; names may hold slashes, raw or escaped."""
    name = unquote(raw_name)
    target = spine.catalog.resolve(name)
    if target is None or not identity.may_use(name):
        raise errors.ModelNotFound(
            f"The model '{name[:200]}' does not exist or you do not have access to it.", param="model"
        )
    return 200, JSON, msgspec.json.encode(_model_row(name, target))


def _model_row(name: str, target: Target) -> Mapping[str, Any]:
    owner = target.pool[0].provider if target.kind != "model" and target.pool else "intellirouter"
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": owner}


def live() -> Page:
    return 200, JSON, b'{"status":"alive"}'


def ready(check: Callable[[], tuple[bool, str]]) -> Page:
    is_ready, detail = check()
    body = msgspec.json.encode({"status": "ready" if is_ready else "not ready", "detail": detail})
    return (200 if is_ready else 503), JSON, body
