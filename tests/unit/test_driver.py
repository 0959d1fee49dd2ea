"""The base of every accelerator: closing, counting, and taking turns."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sdk.device import Device, Kind
from accel_sdk.driver import Accelerator, Driver, Stats, check_size
from accel_sdk.errors import ClosedError, DataError, KernelFaultError
from accel_sdk.kernel import Kernel

PATIENCE_S = 10.0


@dataclass(frozen=True)
class _Echo(Kernel[bytes, bytes]):
    name: ClassVar[str] = "echo"

    def split(self, data: object, shares: Sequence[float]) -> Iterator[bytes]:
        assert isinstance(data, bytes)
        return iter([data])

    def merge(self, parts: Iterable[bytes]) -> bytes:
        return b"".join(parts)


class _Echoing(Accelerator[bytes, bytes]):
    """Gives chunks back twice; stops on the way where a test wants it to."""

    def __init__(self, device_s: float | None = None) -> None:
        super().__init__(_Echo(), Device("test:0", Kind.CPU))
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.at_once = 0
        self.most_at_once = 0
        self.closes = 0
        self._modelled = device_s
        self._lock = threading.Lock()

    def _run(self, chunk: bytes) -> bytes:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.release()
        assert self.go_on.wait(PATIENCE_S)
        with self._lock:
            self.at_once -= 1
        if chunk == b"fault":
            raise KernelFaultError("broken")
        if chunk == b"elsewhere":
            raise DataError("damaged", device="test:7")
        if chunk == b"surprise":
            raise ZeroDivisionError
        return chunk * 2

    def _close(self) -> None:
        assert not self.at_once, "closed under a running call"
        self.closes += 1

    def _device_s(self) -> float | None:
        return self._modelled


@pytest.fixture
def accelerator() -> Iterator[_Echoing]:
    with _Echoing() as made:
        yield made
        made.go_on.set()


def test_stats_count_what_happened(accelerator: _Echoing) -> None:
    assert accelerator.stats == Stats()
    accelerator.run(b"abc")
    accelerator.run(b"")
    for bad in (b"fault", b"surprise"):
        with pytest.raises((KernelFaultError, ZeroDivisionError)):
            accelerator.run(bad)
    stats = accelerator.stats
    assert (stats.chunks, stats.failures, stats.amount) == (2, 2, 3)
    assert (stats.nbytes_in, stats.nbytes_out) == (3, 6)
    assert 0 < stats.busy_s < PATIENCE_S
    assert stats.device_s is None


def test_modelled_time_is_taken_over() -> None:
    with _Echoing(device_s=0.5) as accelerator:
        assert accelerator.stats.device_s is None
        accelerator.run(b"abc")
        assert accelerator.stats.device_s == 0.5


def test_an_error_learns_its_device(accelerator: _Echoing) -> None:
    with pytest.raises(KernelFaultError) as caught:
        accelerator.run(b"fault")
    assert (caught.value.device, str(caught.value)) == ("test:0", "test:0: broken")
    with pytest.raises(DataError) as kept:
        accelerator.run(b"elsewhere")
    assert kept.value.device == "test:7"


def test_usable_after_a_failure(accelerator: _Echoing) -> None:
    with pytest.raises(KernelFaultError):
        accelerator.run(b"fault")
    assert accelerator.run(b"ab") == b"abab"


def test_close_twice(accelerator: _Echoing) -> None:
    assert not accelerator.closed
    accelerator.close()
    accelerator.close()
    assert accelerator.closed
    assert accelerator.closes == 1


def test_leaving_the_block_closes() -> None:
    accelerator = _Echoing()
    with pytest.raises(KeyError), accelerator:
        raise KeyError
    assert accelerator.closes == 1


def test_use_after_close(accelerator: _Echoing) -> None:
    accelerator.close()
    with pytest.raises(ClosedError, match=r"test:0.*echo"):
        accelerator.run(b"abc")
    assert accelerator.stats.failures == 0, "the device did nothing wrong"


def test_two_threads_take_turns(accelerator: _Echoing) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(accelerator.run, [bytes([n]) for n in range(100)]))
    assert results == [bytes([n, n]) for n in range(100)]
    assert accelerator.most_at_once == 1
    assert accelerator.stats.chunks == 100


@pytest.mark.parametrize("chunk", [b"abc", b"fault"])
def test_close_during_a_run_waits_for_its_end(accelerator: _Echoing, chunk: bytes) -> None:
    accelerator.go_on.clear()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(accelerator.run, chunk)
        assert accelerator.entered.acquire(timeout=PATIENCE_S)
        waiting = pool.submit(accelerator.run, b"next")
        accelerator.close()
        assert accelerator.closed
        assert accelerator.closes == 0
        assert not accelerator.wait_released(0)
        with pytest.raises(ClosedError):
            waiting.result(PATIENCE_S)
        accelerator.go_on.set()
        assert (running.exception(PATIENCE_S) is None) == (chunk == b"abc")
    assert accelerator.wait_released(PATIENCE_S)
    assert accelerator.closes == 1
    accelerator.close()
    assert accelerator.closes == 1


def test_a_forgotten_accelerator_is_closed_with_a_warning() -> None:
    accelerator = _Echoing()
    with pytest.warns(ResourceWarning, match="test:0.*never closed"):
        accelerator.__del__()
    assert accelerator.closes == 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        accelerator.__del__()
    assert not caught


def test_an_accelerator_that_never_was_is_silent() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _Echoing.__new__(_Echoing).__del__()
    assert not caught


COUNTS = st.builds(
    Stats,
    *[st.integers(0, 1 << 50)] * 5,
    st.integers(0, 1000).map(float),
    st.none() | st.integers(0, 1000).map(float),
)


@given(st.lists(COUNTS, max_size=6))
def test_stats_add_up(many: list[Stats]) -> None:
    total = Stats()
    for one in many:
        total.add(one)
    for name in ("chunks", "failures", "amount", "nbytes_in", "nbytes_out", "busy_s"):
        assert getattr(total, name) == sum(getattr(one, name) for one in many)
    modelled = [one.device_s for one in many if one.device_s is not None]
    assert total.device_s == (sum(modelled) if modelled else None)


def test_rate() -> None:
    assert Stats().rate == 0
    assert Stats(amount=10, busy_s=4.0).rate == 2.5


@pytest.mark.parametrize("reported", [0, 1, 99, 100])
def test_sizes_that_can_be(reported: int) -> None:
    assert check_size(reported, 100, call="f", library="/l", device="sim:0") == reported


@pytest.mark.parametrize("reported", [-1, 101, 2**64 - 1, -(2**63)])
def test_sizes_that_cannot_be(reported: int) -> None:
    with pytest.raises(KernelFaultError) as caught:
        check_size(reported, 100, call="compress", library="/l/x.so", device="sim:0")
    error = caught.value
    assert (error.status, error.call, error.library, error.device) == (
        reported,
        "compress",
        "/l/x.so",
        "sim:0",
    )
    assert all(text in str(error) for text in ("sim:0", "compress", str(reported), "/l/x.so", "100"))


def test_a_driver_must_list_and_open() -> None:
    class Half(Driver):
        name = "half.done"
        kernels = (_Echo,)

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]


def test_drivers_share_the_process_unless_they_say_otherwise() -> None:
    class Plain(Driver):
        name = "plain.driver"
        kernels = (_Echo,)

        def devices(self) -> Iterable[Device]:
            return []

        def open(self, kernel: Kernel[Any, Any], device: Device) -> Accelerator[Any, Any]:
            raise NotImplementedError

    assert not Plain().isolated(_Echo(), Device("test:0", Kind.CPU))
    assert Plain.contract_version == 1
