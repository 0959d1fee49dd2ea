"""Files in memory, for libraries that take and give their data as files."""

from __future__ import annotations

import os


class MemoryFile:
    """A file without a name on any disk: whatever ends this process, nothing of it is left.

    Its memory is used again by the next content, so one that is kept costs no page faults.

    Parameters
    ----------
    name
        For people who look at the process; need not be unique.

    Attributes
    ----------
    path
        Opens it, within this process.
    """

    def __init__(self, name: str) -> None:
        self._fd = os.memfd_create(name)
        self.path = f"/proc/self/fd/{self._fd}".encode()

    @property
    def nbytes(self) -> int:
        """Its length."""
        return os.fstat(self._fd).st_size

    def put(self, *pieces: bytes | memoryview) -> None:
        """Make the pieces, one after another, its content."""
        position = 0
        for piece in pieces:
            view = memoryview(piece)
            done = 0
            while done < view.nbytes:
                done += os.pwrite(self._fd, view[done:], position + done)
            position += done
        os.ftruncate(self._fd, position)

    def take(self, nbytes: int) -> bytes:
        """Return its first `nbytes`, or fewer if it is shorter."""
        pieces: list[bytes] = []
        done = 0
        while done < nbytes and (piece := os.pread(self._fd, nbytes - done, done)):
            pieces.append(piece)
            done += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Give its memory back."""
        os.close(self._fd)
