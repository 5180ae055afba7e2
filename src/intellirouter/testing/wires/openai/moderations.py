"""`POST /v1/moderations`: categories are flagged by single words."""

from typing import Any, Final

from intellirouter.core import new_id
from intellirouter.fake.openai.fields import wrong_type
from intellirouter.fake.openai.replies import OpenAiError, json_reply
from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.openai.requests import body_of, model_of
from intellirouter.testing.wires.shared.request import WireRequest

DEFAULT_MODEL: Final = "omni-moderation-latest"
_WORDS: Final = {
    "harassment": "idiot",
    "harassment/threatening": "threaten",
    "hate": "hate",
    "hate/threatening": "exterminate",
    "illicit": "steal",
    "illicit/violent": "bomb",
    "self-harm": "suicide",
    "self-harm/instructions": "overdose",
    "self-harm/intent": "selfharm",
    "sexual": "sex",
    "sexual/minors": "minors",
    "violence": "kill",
    "violence/graphic": "gore",
}
"""The word that flags each category."""
_WITH_IMAGES: Final = ("self-harm", "sexual", "violence")
HIGH: Final = 0.98
LOW: Final = 0.0001


def moderations(request: WireRequest, path: str) -> Reply | None:
    if path != "/moderations":
        return None
    document = body_of(request)
    model = model_of(request, {"model": DEFAULT_MODEL, **document})
    results = [_result(text, is_image=is_image) for text, is_image in _inputs(document.get("input"))]
    return json_reply({"id": new_id("modr-"), "model": model, "results": results})


def _inputs(value: Any) -> list[tuple[str, bool]]:
    """Return each input as its text and whether it has images; a list of parts is one input."""
    if isinstance(value, str):
        return [(value, False)]
    if not isinstance(value, list) or not value:
        raise OpenAiError(400, "Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if all(isinstance(item, str) for item in value):
        return [(text, False) for text in value]
    if not all(isinstance(item, dict) for item in value):
        raise wrong_type("input", "a string, an array of strings or an array of objects", value)
    texts = [item["text"] for item in value if isinstance(item.get("text"), str)]
    return [(" ".join(texts), any(item.get("type") == "image_url" for item in value))]


def _result(text: str, *, is_image: bool) -> dict[str, Any]:
    words = set(text.lower().split())
    flags = {category: word in words for category, word in _WORDS.items()}

    def applied(category: str) -> list[str]:
        return ["text", "image"] if is_image and category.startswith(_WITH_IMAGES) else ["text"]

    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {category: HIGH if flag else LOW for category, flag in flags.items()},
        "category_applied_input_types": {category: applied(category) for category in flags},
    }
