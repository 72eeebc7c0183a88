"""An append-only memory file that a process shares with the children it forks.

A pool child writes one record with one `write`, about a microsecond, and may be killed at any
moment after it: the record is already in its parent's reach. The file has no name, so it
disappears with the last process that holds it, however that ends.
"""

import ctypes
import errno
import fcntl
import marshal
import os
import struct
import tempfile
import weakref
import zlib
from contextlib import suppress

from instrumentation.records import DROPPED, Record

_MAGIC = b"\xf5TQ\x01"
_HEADER = struct.Struct("<4sII")  # magic, length and CRC-32 of the body
_PUNCH_HOLE_KEEP_SIZE = 0x03
_RELEASE_EVERY_BYTES = 1 << 20
_MOST_LOSSES = 65_536  # what a pipe holds


class Spool:
    """Written by many processes, drained by the one that made it."""

    def __init__(self) -> None:
        self._fd = _open_memory_file()
        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND | os.O_RDWR)
        self._offset = 0
        self._released = 0
        # Another way to say that this one failed: a byte for each record. Both ends never block.
        self._losses, self._lost = os.pipe()
        os.set_blocking(self._losses, False)
        os.set_blocking(self._lost, False)
        for file in (self._fd, self._losses, self._lost):
            weakref.finalize(self, os.close, file).atexit = False  # the last records come later

    def append(self, record: Record) -> None:
        """Append one record, or count it as lost."""
        try:
            self._write(record)
        except (OSError, ValueError):
            with suppress(OSError):  # 65,536 losses and nobody drains
                os.write(self._lost, b"x")

    def _write(self, record: Record) -> None:
        body = marshal.dumps(record)
        data = _HEADER.pack(_MAGIC, len(body), zlib.crc32(body)) + body
        if os.write(self._fd, data) < len(data):
            raise OSError(errno.ENOSPC, "the record was cut short")

    @property
    def pending_bytes(self) -> int:
        """How much has been written and not yet drained."""
        return os.fstat(self._fd).st_size - self._offset

    def drain(self) -> list[Record]:
        """Take every complete record; what a killed writer cut short is counted and skipped."""
        data = os.pread(self._fd, self.pending_bytes, self._offset)
        records, used = parse(data)
        self._offset += used
        self._release()
        with suppress(BlockingIOError):
            records.append((DROPPED, len(os.read(self._losses, _MOST_LOSSES))))
        return records

    def _release(self) -> None:
        """Give drained pages back, so that memory stays flat however long the worker lives."""
        if self._offset - self._released < _RELEASE_EVERY_BYTES or _FALLOCATE is None:
            return
        length = ctypes.c_longlong(self._offset)
        _FALLOCATE(self._fd, _PUNCH_HOLE_KEEP_SIZE, ctypes.c_longlong(0), length)
        self._released = self._offset


def parse(data: bytes) -> tuple[list[Record], int]:
    """Split spool bytes into records; return them and how many bytes were consumed.

    An unfinished record at the end is left for the next call, since its writer may still be at it.
    A broken one before others was cut short by its writer's death: it is skipped to the next
    magic and counted as one DROPPED.
    """
    records: list[Record] = []
    position = 0
    while len(data) - position >= _HEADER.size:
        magic, length, checksum = _HEADER.unpack_from(data, position)
        body = data[position + _HEADER.size : position + _HEADER.size + length]
        if magic == _MAGIC and len(body) == length and zlib.crc32(body) == checksum:
            records.append(marshal.loads(body))  # noqa: S302 - only our own children write here
            position += _HEADER.size + length
            continue
        following = data.find(_MAGIC, position + 1)
        if following < 0:
            break
        records.append((DROPPED, 1))
        position = following
    return records, position


def _open_memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("taskqueue-spool")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


# Linux has it; elsewhere the file grows until the process ends.
_FALLOCATE = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
