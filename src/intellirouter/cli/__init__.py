"""The command line: one file per command group; each reads its options and calls another room's public interface.

Door: `main` (the console scripts), `build_app` (for the reference page and the tests) and `ExitStatus`.
Command modules import only typer when they are loaded. Everything else is a `LazyModule`, so that `--help` is fast.
"""

from intellirouter.cli.app import build_app, main
from intellirouter.cli.errors import ExitStatus

__all__ = ["ExitStatus", "build_app", "main"]
