"""`/v1/models`."""

from collections.abc import Sequence
from typing import Any, Final

from intellirouter.fake.openai.replies import json_reply, model_not_found
from intellirouter.fake.reply import Reply

MODEL_CREATED_S: Final = 1_735_689_600


def list_models(names: Sequence[str]) -> Reply:
    return json_reply({"object": "list", "data": [_entry(name) for name in names]})


def describe_model(name: str) -> Reply:
    """Answer `GET /v1/models/NAME`. Raises `OpenAiError` (404) for `no-such-…`."""
    if name.startswith("no-such-"):
        raise model_not_found(name)
    return json_reply(_entry(name))


def _entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": MODEL_CREATED_S, "owned_by": "mock-vendor"}
