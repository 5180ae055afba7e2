"""The settings of affinity, for `defaults` and for models."""

from typing import Annotated, Any, Final, Literal

from msgspec import structs
from pydantic import BeforeValidator, Field

from intellirouter.config.section import Section
from intellirouter.core import DEFAULT_AFFINITY, AffinityPolicy

AffinityMode = Literal["auto", "session", "off"]
_Ttl = Annotated[float, Field(gt=0, le=86_400)]
_Load = Annotated[float, Field(ge=0, le=100)]

AFFINITY_TEXT: Final = "Whether the requests of a session stay at one deployment: a mapping, or auto, session or off."
_MODE = (
    "With session, requests whose client names a session stay together. With auto, long prompts that begin in the same "
    "way do so, too. `affinity: off` is the same as `affinity: {mode: off}`."
)
_TTL = (
    "How long a session stays where it is after its last request, in seconds. Providers keep prompts in their caches "
    "for about five minutes."
)
_LOAD = (
    "How much more load or latency than that of the best deployment is accepted in order to stay. With 1, that is "
    "twice as much. The strategy cost compares prices instead."
)


class DefaultAffinity(Section):
    """Affinity, for models that do not set their own: a session stays where the provider's prompt cache knows it."""

    mode: AffinityMode = Field(default="auto", description=_MODE)
    ttl_s: _Ttl = Field(default=DEFAULT_AFFINITY.ttl_s, description=_TTL)
    max_extra_load: _Load = Field(default=DEFAULT_AFFINITY.max_extra_load, description=_LOAD)


class Affinity(Section):
    """Affinity of the model. Each setting overrides that of the defaults."""

    mode: AffinityMode | None = Field(default=None, description=_MODE)
    ttl_s: _Ttl | None = Field(default=None, description=_TTL)
    max_extra_load: _Load | None = Field(default=None, description=_LOAD)


def expand_mode(value: Any) -> Any:
    """Return the section that a mode stands for. YAML 1.1 reads `off` as a boolean if it is not quoted."""
    if isinstance(value, bool):
        value = "auto" if value else "off"
    if isinstance(value, dict) and isinstance(value.get("mode"), bool):
        return {**value, "mode": "auto" if value["mode"] else "off"}
    return {"mode": value} if isinstance(value, str) else value


DefaultAffinityField = Annotated[
    DefaultAffinity, BeforeValidator(expand_mode, json_schema_input_type=DefaultAffinity | AffinityMode | bool)
]
AffinityField = Annotated[Affinity, BeforeValidator(expand_mode, json_schema_input_type=Affinity | AffinityMode | bool)]


def compile_affinity(entry: Affinity | None, defaults: DefaultAffinity) -> AffinityPolicy | None:
    """Return the policy of a model, or that of the defaults if `entry` is None; None if it is off."""
    own = {} if entry is None else entry.model_dump(exclude_none=True)
    values = {**defaults.model_dump(), **own}
    mode = values.pop("mode")
    if mode == "off":
        return None
    return structs.replace(DEFAULT_AFFINITY, recognizes_prompts=mode == "auto", **values)
