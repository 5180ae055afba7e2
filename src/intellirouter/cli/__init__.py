"""The command line: one file per command group; each reads its options and calls another room's public interface.

Door: `main` (the console scripts), `build_app` (for the reference page and the tests) and `ExitStatus`.
Command modules import only typer when they are loaded. Everything else is a `LazyModule`, so that `--help` is fast.
`main` handles signals before even that is imported. So this module imports the rest on first use.
"""

from importlib import import_module

from intellirouter.cli.entry import main

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from intellirouter.cli.app import build_app
    from intellirouter.cli.errors import ExitStatus

__all__ = ["ExitStatus", "build_app", "main"]


def __getattr__(name: str) -> object:
    if name == "build_app":
        return import_module("intellirouter.cli.app").build_app
    if name == "ExitStatus":
        return import_module("intellirouter.cli.errors").ExitStatus
    raise AttributeError(f"module 'intellirouter.cli' has no attribute {name!r}")
