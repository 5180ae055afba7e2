"""How a command ends: the exit statuses, and the exception that ends a command with one of them."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses of the program. Scripts rely on them, so a number never changes its meaning."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4
    REFUSED = 5

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    ExitStatus.OK: "Success.",
    ExitStatus.FAILURE: "The command failed, for example: unhealthy gateway, existing file, address in use.",
    ExitStatus.USAGE: "The command line is invalid: unknown command, option or value.",
    ExitStatus.CONFIGURATION: "The configuration is invalid. All problems are listed.",
    ExitStatus.UNREACHABLE: "The gateway cannot be reached.",
    ExitStatus.REFUSED: "The gateway rejected the request, or all upstreams failed.",
}


class CommandError(Exception):
    """Ends a command. Standard error gets `Error: MESSAGE`, then each note on a line of its own.

    The message and the notes are full sentences; the first note is the hint. Empty notes are left out.
    """

    def __init__(self, message: str, *notes: str, status: ExitStatus = ExitStatus.FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.notes = tuple(note for note in notes if note)
        self.status = status
