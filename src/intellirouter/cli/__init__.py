"""The command line: one file per command, each a thin reader of flags over a room's door.

Door: `main` (the console scripts) and `build_app` (for the reference page and tests). Exit statuses are in `exits`.
Command modules load nothing but typer at import: what they use is a `LazyModule`, so that `--help` is instant.
"""

from intellirouter.cli.app import build_app, main
from intellirouter.cli.exits import ExitStatus

__all__ = ["ExitStatus", "build_app", "main"]
