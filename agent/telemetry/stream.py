"""What becomes of a line that nobody reads?

Whoever reads our log may stop: a pipe that nobody drains, a terminal held by Ctrl-S, a journal that hangs. Then
writing blocks, and a daemon that writes from its loop stands still with it, every caller included. So lines are
written by a thread of their own; when too many wait, the newest are lost, and the loss is told as soon as somebody
reads again.
"""

import logging
import os
import select
import threading
from collections import deque
from typing import Final

#: So many lines wait for a reader at most: some 2 MB, or the lines of an hour in which everything fails.
MOST: Final = 10_000

#: How long the end of the process waits for a reader, in seconds.
PATIENCE: Final = 1.0


class Outlet(logging.Handler):
    """Writes lines to a file descriptor and keeps nobody waiting.

    The descriptor is written to as it is: nothing is buffered in between that the interpreter would have to flush,
    and might wait for, or fail at, when it ends.
    """

    def __init__(self, descriptor: int, *, most: int = MOST) -> None:
        """Write to `descriptor`, which stays its owner's; keep at most so many lines waiting."""
        super().__init__()
        self._descriptor = descriptor
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._busy = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Put the line of this record in the queue. Never waits, and never raises."""
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - logging's own way: a line that cannot be made is no reason to fail
            self.handleError(record)
            return
        with self._changed:
            if len(self._waiting) >= self._most:
                self._lost += 1
                return
            self._waiting.append(line)
            self._changed.notify_all()
            if self._thread is None:
                # A daemon: if it waits for a reader at the very end, nobody waits for it.
                self._thread = threading.Thread(target=self._write, name="log", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Wait until all is written, but not longer than a reader deserves."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, PATIENCE)

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                lines, lost = list(self._waiting), self._lost
                self._waiting.clear()
                self._lost = 0
                self._busy = True
            loss = [self._line(_loss_of(lost))] if lost else []
            if not _write_all(self._descriptor, b"".join(lines + loss)):
                with self._changed:
                    self._lost += lost + len(lines)


def _write_all(descriptor: int, data: bytes) -> bool:
    """Write all of it, however long that takes; whether it could be written."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Somebody who shares this descriptor with us has made it so that it does not wait.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError:  # a full disk, or a reader that has gone: there is no other log to tell it to
            return False
    return True


def _loss_of(lines: int) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "log_lines_lost",
            "fields": {"lines": lines, "hint": "nobody read this log for a while, so it is not complete"},
        }
    )
