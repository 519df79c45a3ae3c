"""Results written to files: refused before the work begins if they cannot be, and never half-written."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from types import TracebackType

from apograph.findings import Message, Refusal


class Output:
    """A file to be written at the end; "-" is standard output.

    Entering makes a temporary file beside the target, so that an unwritable place is refused (exit 4) before
    any work. ``write`` fills it, flushes it to the disk and renames it; leaving without removes it.
    """

    def __init__(self, target: str) -> None:
        self._named = target
        self._path = os.path.realpath(target)
        self._temporary: str | None = None

    def __enter__(self) -> Output:
        if self._direct():
            return self
        try:
            if os.path.isdir(self._path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            folder, name = os.path.split(self._path)
            handle, self._temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", dir=folder)
            os.close(handle)
        except OSError as error:
            raise _refusal(4, error, self._named) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            os.unlink(self._temporary)
            self._temporary = None

    def write(self, data: bytes) -> None:
        """Put ``data`` at the target. Raises Refusal 5 when the device refuses it; the target is then as
        it was."""
        if self._named == "-":
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            return
        try:
            self._write_file(data)
        except OSError as error:
            raise _refusal(5, error, self._named) from None

    def _write_file(self, data: bytes) -> None:
        with open(self._temporary or self._path, "wb") as stream:
            stream.write(data)
            if self._temporary is None:
                return
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(stream.fileno(), 0o666 & ~mask)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(self._temporary, self._path)
        self._temporary = None
        folder = os.open(os.path.dirname(self._path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _direct(self) -> bool:
        """Standard output, a device or a pipe: written as it is, for a rename would replace it."""
        return self._named == "-" or (
            os.path.exists(self._path) and not os.path.isfile(self._path) and not os.path.isdir(self._path)
        )


def distinct(targets: Sequence[str | None]) -> None:
    """Refuse (exit 4) two outputs that are one file."""
    named = [os.path.realpath(target) if target != "-" else "-" for target in targets if target]
    if len(set(named)) < len(named):
        raise Refusal(4, Message("cli.error.same_output"))


def _refusal(code: int, error: OSError, path: str) -> Refusal:
    return Refusal(code, Message("cli.error.output", {"reason": error.strerror or str(error)}), path)
