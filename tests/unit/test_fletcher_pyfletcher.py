"""`FletcherKernel`, and pyfletcher's interface: the notebooks of the predecessors with one import changed."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import accel_sdk as accel
from accel_drivers.fletcher import FletcherKernel, pyfletcher

SCHEMA = pa.schema(
    [pa.field("number", pa.int64(), nullable=False)], metadata={"fletcher_name": "ExampleBatch"}
)
TEXT = pa.schema([pa.field("name", pa.string()), pa.field("size", pa.int64(), nullable=False)])


def _batch(*numbers: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64())], schema=SCHEMA)


@pytest.mark.parametrize(("numbers", "expected"), [(range(10, 90, 10), 360), ([1, -3, 3, -7], -6)])
def test_the_flow_of_today(numbers: Any, expected: int) -> None:
    platform = pyfletcher.Platform("sim")
    platform.init()
    context = pyfletcher.Context(platform)
    context.queue_record_batch(_batch(*numbers))
    context.enable()
    kernel = pyfletcher.Kernel(context)
    kernel.reset()
    kernel.start()
    kernel.poll_until_done()
    assert kernel.get_return(np.dtype(np.int64)) == expected
    assert kernel.get_status() == 5
    platform.terminate()
    del context, kernel
    gc.collect()


def test_the_flow_of_old() -> None:
    """The context comes before `init`, a range is needed, `reset` comes after `enable`."""
    platform = pyfletcher.Platform()
    context = pyfletcher.Context(platform)
    core = pyfletcher.UserCore(context)
    platform.init()
    context.queue_record_batch(_batch(*range(10, 90, 10)), True)
    context.enable()
    core.reset()
    core.set_range(1, 3)
    core.start()
    core.wait_for_finish(10)
    assert core.get_return(np.dtype(np.int64)) == 50
    assert core.get_platform().get_name() == platform.name() == "sim"


def test_done_is_sticky_until_reset() -> None:
    platform = pyfletcher.Platform("sim")
    platform.init()
    context = pyfletcher.Context(platform)
    context.queue_array(pa.array([5, 6, 7]))
    context.enable()
    kernel = pyfletcher.Kernel(context)
    for first, expected in ((0, 18), (1, 18)):
        kernel.set_range(0, first, 3)
        kernel.start()
        kernel.poll_until_done()
        assert kernel.get_return(np.dtype(np.int64)) == expected
    kernel.reset()
    kernel.start()
    kernel.poll_until_done()
    assert kernel.get_return(np.dtype(np.int64)) == 13


def test_return_types_convert_the_unsigned_number() -> None:
    platform = pyfletcher.Platform("sim")
    platform.init()
    context = pyfletcher.Context(platform)
    context.queue_record_batch(_batch(1, -3, 3, -7))
    context.enable()
    kernel = pyfletcher.Kernel(context)
    kernel.start()
    kernel.poll_until_done()
    assert kernel.get_return(np.dtype(np.int32)) == -6
    assert kernel.get_return(np.dtype(np.uint64)) == 2**64 - 6
    assert kernel.get_return(np.dtype(np.float64)) == float(2**64 - 6)
    assert platform.read_mmio(2) == 0xFFFFFFFA
    assert platform.read_mmio(2, "int") == -6
    assert np.isnan(platform.read_mmio(2, "float"))
    assert platform.read_mmio_64(2, "int") == -6
    assert platform.read_mmio_64(2) == 2**64 - 6


def test_platforms_do_not_share_a_state() -> None:
    first, second = pyfletcher.Platform("sim"), pyfletcher.Platform("sim")
    first.init()
    second.init()
    first.write_mmio(4, 1)
    second.write_mmio(4, 2)
    assert (first.read_mmio(4), second.read_mmio(4)) == (1, 2)


def test_device_memory() -> None:
    platform = pyfletcher.Platform("sim")
    platform.init()
    address = platform.device_malloc(100)
    platform.copy_host_to_device(b"0123456789", address, 10)
    assert bytes(platform.copy_device_to_host(address, 4)) == b"0123"
    room = pa.allocate_buffer(10)
    assert platform.copy_device_to_host(address, 10, room) is room
    assert room.to_pybytes() == b"0123456789"
    with pytest.raises(accel.DataError, match="10 bytes, not 11"):
        platform.copy_host_to_device(b"0123456789", address, 11)
    with pytest.raises(accel.DataError, match="cannot be written"):
        platform.copy_device_to_host(address, 4, pa.py_buffer(b"1234"))
    with pytest.raises(accel.KernelFaultError, match="platformCopyDeviceToHost"):
        platform.copy_device_to_host(8, 4)
    platform.device_free(address)


def test_mistakes_raise() -> None:
    platform = pyfletcher.Platform("sim")
    platform.init()
    context = pyfletcher.Context(platform)
    with pytest.raises(accel.DataError, match="mem_type"):
        context.queue_record_batch(_batch(1), "fast")
    with pytest.raises(accel.DataError, match="no record batch"):
        context.queue_record_batch(pa.table({"a": [1]}))
    with pytest.raises(accel.UnsupportedError, match="'flag' is of type bool"):
        context.queue_record_batch(pa.record_batch({"flag": [True]}))
    context.queue_record_batch(_batch(1, 2))
    assert (context.num_buffers(), context.get_queue_size()) == (1, 16)
    kernel = pyfletcher.Kernel(context)
    with pytest.raises(accel.DataError, match="enable"):
        kernel.start()
    with pytest.raises(accel.DataError, match="no range"):
        kernel.set_range(0, 2, 2)
    with pytest.raises(accel.DataError, match="no record batch 1"):
        kernel.set_range(1, 0, 2)
    with pytest.raises(accel.DataError, match="32-bit"):
        kernel.set_arguments([2**32])
    with pytest.raises(accel.DataError, match="type must be"):
        platform.read_mmio(4, "double")
    with pytest.raises(accel.LibraryLoadError, match=r"no platform 'nowhere'.*there are: .*sim"):
        pyfletcher.Platform("nowhere")


# --- the general kernel ---------------------------------------------------------------------------


def test_a_run_for_every_batch() -> None:
    table = pa.Table.from_batches([_batch(1, 2), _batch(), _batch(-5)])
    with accel.Runner("sim:*") as runner:
        assert runner.run(FletcherKernel(), table) == [3, 0, -5]
        assert runner.report.total.amount == 3
    with accel.open(FletcherKernel("uint8"), "sim:0") as board:
        assert board.run(_batch(1, 2, 4, 8)[2:4]) == [12]
        assert board.run(_batch(-1)) == [255]
    with accel.open(FletcherKernel("float64"), "sim:0") as board:
        bits = int.from_bytes(np.float64(2.5).tobytes(), "little")
        assert board.run(_batch(bits)) == [2.5]


def test_chunks_travel() -> None:
    rows = pa.RecordBatch.from_pylist([{"name": n, "size": 1} for n in ("a", None, "c")], TEXT)
    for batch in (rows, rows[1:], rows[:0]):
        (chunk,) = FletcherKernel().split(batch, [1.0])
        again = pickle.loads(pickle.dumps(chunk, 5))
        assert again.batches[0].equals(batch)


def test_parameters_and_schemas_are_checked() -> None:
    for wrong in ({"returns": "string"}, {"arguments": (-1,)}, {"arguments": (2**32,)}, {"inputs": 0}):
        with pytest.raises(accel.DataError):
            FletcherKernel(**wrong)
    with pytest.raises(accel.UnsupportedError, match="bool"):
        list(FletcherKernel().split(pa.record_batch({"flag": [True]}), [1.0]))
    with pytest.raises(accel.DataError, match="groups of 2"):
        list(FletcherKernel(inputs=2).split([_batch(1)], [1.0]))


def test_registers_are_written_in_fletchers_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compile_cpp: Any
) -> None:
    library = compile_cpp(tmp_path / "libtells.so", "tests/native/faulty_fletcher.cpp", "-shared", "-fPIC")
    log = tmp_path / "log"
    monkeypatch.setenv("ACCEL_FLETCHER_LIBRARY", str(library))
    monkeypatch.setenv("FAULTY_LOG", str(log))
    first = pa.RecordBatch.from_pylist([{"name": n, "size": 1} for n in ("a", None, "c")], TEXT)
    with accel.open(FletcherKernel(arguments=(77, 88), inputs=2), "sim:0") as board:
        monkeypatch.setattr("accel_drivers.fletcher._registers.pulse", lambda *_: None)
        monkeypatch.setattr("accel_drivers.fletcher._abi.Library.wait", lambda *_, **__: 5)
        assert board.run([first, _batch(1, 2)]) == [0]
    written = [line.split() for line in log.read_text().splitlines() if line.startswith("write")]
    # Two ranges, three buffers of the first schema and one more, then the arguments.
    assert [int(register) for _, register, _ in written] == [*range(4, 8), *range(8, 18), 18, 19]
    assert [int(value) for _, _, value in written][:4] == [0, 3, 0, 2]
    assert [int(value) for _, _, value in written][-2:] == [77, 88]
