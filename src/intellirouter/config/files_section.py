"""The settings of files."""

from pydantic import Field

from intellirouter.config.section import Section


class Files(Section):
    """Files that clients upload, and the output files of batches."""

    max_tenant_bytes: int = Field(
        default=10 * 1024**3,
        ge=1024,
        description="Maximum size of all files of a tenant, in bytes. Further uploads are rejected.",
    )
    max_tenant_files: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Maximum number of files of a tenant. Further uploads are rejected.",
    )
    keep_days: float = Field(
        default=30.0,
        gt=0,
        le=36_500,
        description="How long files are kept if their upload does not set expires_after, in days.",
    )
