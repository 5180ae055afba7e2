"""The base of all sections of settings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections. Unknown names are errors, and values are not converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
