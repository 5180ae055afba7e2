"""Work on large bodies, done in threads: decoding and encoding them would stop the event loop for too long.

Threads do not make the work faster, but they let other requests continue. The event loop still waits for every single
call of C code, because such a call holds the interpreter lock. So the limits on requests bound those calls, and only
one thread works on bodies that are large enough for a long call. The functions that it runs must be pure.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from intellirouter.core import errors
from intellirouter.core.json_outline import MEDIUM_BYTES

T = TypeVar("T")

_MAX_WAITING: Final = 256

_threads: Final[set[int]] = set()
"""The threads that work off the event loop."""


def is_off_loop() -> bool:
    """Return whether the current thread works off the event loop."""
    return threading.get_ident() in _threads


class OffLoop:
    """Runs pure functions in two threads: one for medium-sized bodies, and one for those over 1 MiB.

    The threads start when they are needed. Use it on one event loop at a time.
    """

    def __init__(self, max_waiting: int = _MAX_WAITING) -> None:
        """`max_waiting`: how many calls may wait for each thread."""
        self._medium = _JobThread("off-loop-medium", max_waiting)
        self._large = _JobThread("off-loop-large", max_waiting)

    async def run(self, size_bytes: int, work: Callable[[], T]) -> T:
        """Return the result of `work`, or raise its error. `size_bytes` is the size of the body that it works on.

        If the caller is canceled, work that waits is not done, and the result of work in progress is discarded. Raises
        `Overloaded` if too much work is waiting.
        """
        thread = self._medium if size_bytes <= MEDIUM_BYTES else self._large
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = _Job(work, future)
        thread.add(job)
        try:
            return await future
        finally:
            thread.drop(job)
            # The future refers to an error, whose traceback refers to this frame.
            del job, future

    def close(self) -> None:
        """End the threads after the work in progress. Work that is waiting is not done."""
        self._medium.close()
        self._large.close()


class _Job(Generic[T]):
    """A call, and the future of its result."""

    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[], T], future: "asyncio.Future[T]") -> None:
        self.work = work
        self.future = future


class _JobThread:
    """One thread with its queue. All state belongs to the event loop; the thread gets one job at a time."""

    def __init__(self, name: str, max_waiting: int) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._waiting: deque[_Job[Any]] = deque()
        self._is_busy = False
        self._next: SimpleQueue[_Job[Any] | None] | None = None

    def add(self, job: _Job[Any]) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise errors.Overloaded("The gateway is busy with large requests.", retry_after_s=1.0)
        self._waiting.append(job)
        if not self._is_busy:
            self._start_next()

    def drop(self, job: _Job[Any]) -> None:
        """Forget a job that its caller no longer waits for, and what it refers to."""
        if job in self._waiting:
            self._waiting.remove(job)

    def close(self) -> None:
        self._waiting.clear()
        if self._next is not None:
            self._next.put(None)
            self._next = None

    def _start_next(self) -> None:
        self._is_busy = bool(self._waiting)
        if not self._is_busy:
            return
        if self._next is None:
            self._next = SimpleQueue()
            threading.Thread(target=_work, args=(self._next, self._finish), name=self._name, daemon=True).start()
        self._next.put(self._waiting.popleft())

    def _finish(self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        self._start_next()
        if future.done():  # the caller was canceled
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


Finish = Callable[["asyncio.Future[Any]", Any, BaseException | None], None]


def _work(jobs: "SimpleQueue[_Job[Any] | None]", finish: Finish) -> None:
    """Run jobs until there is None. Keeps no reference to a job while it waits for the next one."""
    _threads.add(threading.get_ident())
    try:
        while _run_next(jobs, finish):
            pass
    finally:
        _threads.discard(threading.get_ident())


def _run_next(jobs: "SimpleQueue[_Job[Any] | None]", finish: Finish) -> bool:
    job = jobs.get()
    if job is None:
        return False
    future = job.future
    result, error = _result_of(job.work)
    try:
        future.get_loop().call_soon_threadsafe(finish, future, result, error)
    except RuntimeError:  # the event loop was closed
        return False
    return True


def _result_of(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    try:
        return work(), None
    except errors.GatewayError as error:
        # Without the traceback, whose frames refer to the request, which will refer to the error.
        return None, error.with_traceback(None)
    except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
        return None, error
