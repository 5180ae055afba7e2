"""How a command ends: exit statuses, and the failure that carries one."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """0 done · 1 it failed · 2 the command line is wrong · 3 the configuration is wrong · 4 no gateway · 5 refused."""

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
    ExitStatus.OK: "Done.",
    ExitStatus.FAILURE: "It did not work: an unhealthy gateway, a file that exists already, an address in use.",
    ExitStatus.USAGE: "The command line is wrong: an unknown command, option or value.",
    ExitStatus.CONFIGURATION: "The configuration is wrong; every problem is listed.",
    ExitStatus.UNREACHABLE: "No gateway answers at the address.",
    ExitStatus.REFUSED: "The gateway refused the request, or every upstream failed.",
}


class Failure(Exception):
    """Ends a command. The message goes to standard error, each note on a line of its own below it."""

    def __init__(self, message: str, *notes: str, status: ExitStatus = ExitStatus.FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.notes = tuple(note for note in notes if note)
        self.status = status
