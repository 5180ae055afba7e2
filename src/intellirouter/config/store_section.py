"""The settings of the database."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Text


class Store(Section):
    """The database of completed requests. The URL alone can be written instead of the mapping."""

    url: Text = Field(
        default="sqlite:///intellirouter.db",
        description="URL of the database: `sqlite:///relative.db` (relative to the working directory) or "
        "`sqlite:////absolute.db`.",
    )
    spool_dir: Text | None = Field(
        default=None,
        description="Directory of records that have not been written to the database yet. If not set, it is next to "
        "the database.",
    )
    fsync_interval_s: float | None = Field(
        default=0.2,
        ge=0.001,
        le=3600,
        description="How often records are synced to disk, in seconds, as protection against power loss. With null the "
        "operating system decides.",
    )
    log_keep_days: float = Field(
        default=30.0, gt=0, le=36_500, description="Age at which entries of the request log are deleted, in days."
    )
    log_max_bytes: int = Field(
        default=1024**3,
        ge=1024**2,
        description="Maximum size of the request log, in bytes. The oldest entries are deleted when it is exceeded.",
    )


def _url_to_store(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


StoreField = Annotated[Store, BeforeValidator(_url_to_store, json_schema_input_type=str | Store)]
