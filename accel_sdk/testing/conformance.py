"""The conformance suite: what every driver must do, whoever wrote it.

Subclass `DriverConformance` in a test module and give it a ``case`` fixture; pytest does the rest. Expected
results come from the case's `reference`, which must be independent of the driver under test.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accel_sdk.device import Device, Kind
from accel_sdk.driver import CONTRACT_VERSION, AnyAccelerator, Driver
from accel_sdk.errors import AccelError, ClosedError, DataError
from accel_sdk.kernel import AnyKernel, Kernel
from accel_sdk.registry import Registry
from accel_sdk.runner import Runner


def _same(result: Any) -> Any:
    return result


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right)


@dataclass(frozen=True)
class Case:
    """A driver, a kernel it runs, and inputs with known results.

    Parameters
    ----------
    driver, device, kernel
        What is tested; `device` is a name.
    data
        Hypothesis strategy for inputs, small ones and awkward ones.
    empty, one
        Input of no element and of one.
    reference
        The expected result of an input, as `observe` shows it, from an independent source.
    observe
        Makes results comparable where equal results may look different (gzip: decompress).
    equal
        Compares what `observe` returns.
    chunk
        Makes an input into the chunk that ``run`` takes for all of it.
    variants
        The kernel with other parameters that must not change the result, such as chunk sizes.
    bad
        Chunks that must be refused, each with the class of the error.
    shared
        Whether other devices of the same driver may be used too, to compare device counts.
    """

    driver: Driver
    device: str
    kernel: AnyKernel
    data: st.SearchStrategy[Any]
    empty: Any
    one: Any
    reference: Callable[[Any], Any]
    observe: Callable[[Any], Any] = _same
    equal: Callable[[Any, Any], bool] = _equal
    chunk: Callable[[Any], Any] = _same
    variants: Sequence[AnyKernel] = ()
    bad: Sequence[tuple[Any, type[AccelError]]] = ()
    shared: bool = True
    shares: st.SearchStrategy[list[float]] = field(
        default_factory=lambda: st.lists(st.floats(0.01, 100.0), min_size=1, max_size=5)
    )

    def open(self, kernel: AnyKernel | None = None) -> AnyAccelerator:
        """Open the kernel, or another, on the device, as a user would."""
        return Registry([self.driver]).open(kernel or self.kernel, self.device)

    def agrees(self, result: Any, data: Any) -> bool:
        """Return whether a result is what the reference says."""
        return self.equal(self.observe(result), self.reference(data))


class DriverConformance:
    """Subclass this and define the fixture ``case``, returning a `Case`.

    Attributes
    ----------
    examples
        Inputs that hypothesis tries in each property.
    """

    examples: ClassVar[int] = 30

    @pytest.fixture
    def case(self) -> Case:
        """Return what is to be tested."""
        raise NotImplementedError("define the fixture 'case' in your subclass")

    def test_driver_declares_itself(self, case: Case) -> None:
        assert case.driver.name.count(".") == 1, "a driver's name is <family>.<platform>"
        assert case.driver.contract_version == CONTRACT_VERSION
        assert case.driver.kernels
        assert all(issubclass(kernel, Kernel) for kernel in case.driver.kernels)
        assert isinstance(case.kernel, tuple(case.driver.kernels))

    def test_listing_devices_is_repeatable(self, case: Case) -> None:
        first, second = list(case.driver.devices()), list(case.driver.devices())
        names = [device.name for device in first]
        assert first == second
        assert len(set(names)) == len(names)
        assert case.device in names

    def test_kernel_is_a_frozen_value(self, case: Case) -> None:
        assert dataclasses.is_dataclass(case.kernel)
        assert pickle.loads(pickle.dumps(case.kernel)) == case.kernel
        for item in dataclasses.fields(case.kernel):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(case.kernel, item.name, None)

    def test_devices_survive_pickling(self, case: Case) -> None:
        device = _device(case)
        assert pickle.loads(pickle.dumps(device)) == device

    def test_law_of_split_and_merge(self, case: Case) -> None:
        """merge(run(c) for c in split(data, shares)) is run(data), which is what the reference says."""
        with case.open() as accelerator:

            @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case.data, case.shares)
            def law(data: Any, shares: list[float]) -> None:
                chunks = case.kernel.split(data, shares)
                merged = case.kernel.merge(accelerator.run(chunk) for chunk in chunks)
                assert case.agrees(merged, data)
                assert case.agrees(accelerator.run(case.chunk(data)), data)

            law()

    def test_split_drops_nothing(self, case: Case) -> None:
        @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case.data, case.shares)
        def exact(data: Any, shares: list[float]) -> None:
            amounts = [case.kernel.amount(chunk) for chunk in case.kernel.split(data, shares)]
            assert sum(amounts) == case.kernel.amount(case.chunk(data)) or not sum(amounts)

        exact()

    @pytest.mark.parametrize("which", ["empty", "one"])
    def test_smallest_inputs(self, case: Case, which: str) -> None:
        data = getattr(case, which)
        with case.open() as accelerator:
            parts = [accelerator.run(chunk) for chunk in case.kernel.split(data, [1.0, 1.0])]
            assert case.agrees(case.kernel.merge(parts), data)
            assert case.agrees(accelerator.run(case.chunk(data)), data)

    def test_parameters_that_must_not_matter(self, case: Case) -> None:
        if not case.variants:
            pytest.skip("the case names no variants of its kernel")
        for kernel in case.variants:
            with case.open(kernel) as accelerator:
                parts = (accelerator.run(chunk) for chunk in kernel.split(case.one, [1.0]))
                assert case.agrees(kernel.merge(parts), case.one), kernel

    def test_device_counts_do_not_matter(self, case: Case) -> None:
        if not case.shared:
            pytest.skip("the case keeps to one device")
        kind = _device(case).kind
        names = [device.name for device in case.driver.devices() if device.kind is kind]
        for count in {1, len(names)}:
            with Runner(names[:count]) as runner:
                assert case.agrees(runner.run(case.kernel, case.one), case.one)
                assert runner.report.total.chunks >= 1
                assert {row.kind for row in runner.report.devices} == {kind}

    def test_run_twice_gives_the_same(self, case: Case) -> None:
        with case.open() as accelerator:
            chunk = case.chunk(case.one)
            assert case.agrees(accelerator.run(chunk), case.one)
            assert case.agrees(accelerator.run(chunk), case.one)

    def test_close_twice(self, case: Case) -> None:
        accelerator = case.open()
        accelerator.close()
        accelerator.close()
        assert accelerator.closed

    def test_use_after_close(self, case: Case) -> None:
        with case.open() as accelerator:
            pass
        with pytest.raises(ClosedError) as caught:
            accelerator.run(case.chunk(case.one))
        assert case.device in str(caught.value)

    def test_two_at_once(self, case: Case) -> None:
        """Closing one accelerator must not disturb another on the same device."""
        with case.open() as first:
            with case.open() as second:
                assert case.agrees(second.run(case.chunk(case.one)), case.one)
            assert case.agrees(first.run(case.chunk(case.one)), case.one)

    def test_stats_are_sane(self, case: Case) -> None:
        with case.open() as accelerator:
            assert accelerator.stats.chunks == 0
            chunk = case.chunk(case.one)
            for count in (1, 2):
                accelerator.run(chunk)
                stats = accelerator.stats
                assert (stats.chunks, stats.failures) == (count, 0)
                assert stats.amount == count * case.kernel.amount(chunk)
                assert stats.busy_s > 0
            if accelerator.device.kind is Kind.SIMULATED:
                assert stats.device_s is not None, "a simulated device models its time"
            else:
                assert stats.device_s is None, "only simulated devices model time"

    def test_bad_input_is_the_inputs_fault(self, case: Case) -> None:
        if not case.bad:
            pytest.skip("the case names no bad input")
        with case.open() as accelerator:
            for chunk, expected in case.bad:
                with pytest.raises(expected) as caught:
                    accelerator.run(chunk)
                assert isinstance(caught.value, DataError)
                assert "\n" not in str(caught.value)
                again = pickle.loads(pickle.dumps(caught.value))
                assert (type(again), str(again)) == (type(caught.value), str(caught.value))
            assert accelerator.stats.failures == len(case.bad)
            assert case.agrees(accelerator.run(case.chunk(case.one)), case.one), "still usable"

    def test_foreign_kernel_is_refused(self, case: Case) -> None:
        with pytest.raises(AccelError):
            case.driver.open(_Foreign(), _device(case))


@dataclass(frozen=True)
class _Foreign(Kernel[Any, Any]):
    """A kernel that no driver knows."""

    name: ClassVar[str] = "conformance-foreign"

    def split(self, data: Any, shares: Sequence[float]) -> Any:
        return iter([data])

    def merge(self, parts: Any) -> Any:
        return list(parts)


def _device(case: Case) -> Device:
    return next(device for device in case.driver.devices() if device.name == case.device)
