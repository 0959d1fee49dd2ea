"""Files in memory hold what was put there last."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from accel_sdk.memfile import MemoryFile


@given(st.lists(st.lists(st.binary(max_size=100), max_size=3), min_size=1, max_size=4))
def test_it_is_what_was_put_last(contents: list[list[bytes]]) -> None:
    file = MemoryFile("accel-test")
    try:
        for pieces in contents:
            file.put(*pieces)
            whole = b"".join(pieces)
            assert Path(file.path.decode()).read_bytes() == whole
            assert file.nbytes == len(whole)
            assert file.take(len(whole) + 1) == whole
            assert file.take(len(whole) // 2) == whole[: len(whole) // 2]
    finally:
        file.close()
    assert not Path(file.path.decode()).exists()
