"""Settings of local models, and of batches, which the gateway processes itself."""

from pydantic import Field

from intellirouter.config.section import Section
from intellirouter.config.value_types import Text


class Host(Section):
    """Local models, which are served by providers of the vendor host."""

    cache_dir: Text | None = Field(
        default=None, description="Directory of model weights. If not set, the user's cache directory is used."
    )
    run_dir: Text | None = Field(
        default=None, description="Directory of worker sockets. If not set, a private directory is used."
    )
    context_tokens: int = Field(
        default=4096, ge=256, le=1_048_576, description="Context window of a worker in tokens, shared by its slots."
    )
    slots: int = Field(default=4, ge=1, le=64, description="Number of requests that a worker processes concurrently.")
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Number of CPU threads of a worker. If not set, it depends on the number of cores.",
    )


class Batches(Section):
    """Batches, which the gateway processes itself."""

    concurrency: int = Field(
        default=4, ge=1, le=1024, description="Number of lines, over all batches, that are processed concurrently."
    )
    max_lines: int = Field(default=50_000, ge=1, le=1_000_000, description="Maximum number of lines of a batch.")
    max_file_bytes: int = Field(
        default=200 * 1024**2,
        ge=1024,
        le=1024**3,
        description="Maximum size of the input file of a batch, in bytes. Every upload is also limited by "
        "server.max_body_bytes.",
    )
