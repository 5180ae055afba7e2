"""`intellirouter credentials list`: which credentials are stored."""

from datetime import UTC, datetime

from intellirouter.cli.output import emit, grid
from intellirouter.cli.session import Output
from intellirouter.cli.stored import ConfigOption, stored_credentials


def list_credentials(config: ConfigOption = None, output: Output = "table") -> None:
    """List the stored credentials by name. The credentials themselves are never shown."""
    with stored_credentials(config) as store:
        entries = store.names()
    rows = [(each.name, _time(each.created_us), _time(each.updated_us)) for each in entries]
    data = {"credentials": [dict(zip(("name", "created", "updated"), row, strict=True)) for row in rows]}
    emit(data, output, lambda: [grid(("NAME", "CREATED", "UPDATED"), rows) if rows else "no credentials are stored"])


def _time(epoch_us: int) -> str:
    return datetime.fromtimestamp(epoch_us / 1_000_000, UTC).isoformat(timespec="seconds")
