"""All five networks on one core: images per second, the time of one image, loading.

Parameters are the published ones if they lie beside the checkout, else random.

What limits them: an image of cnvW1A1 is 59.4 million binary multiply-accumulates, one of lfcW1A1 3.0 million
over 370 KB of weights, which fit L2 but not L1. Activations of two bits double the work of a 1-bit network,
weights of two bits double it again. Loading reads 100 to 290 small files, here from the page cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _bnn_inputs import CLASSES, images, parameters
from _common import Figures, best, best_of_each

from accel_drivers.bnn._abi import Engine, Layout
from accel_drivers.bnn._networks import NAMES, network
from accel_drivers.bnn._params import open_params

WANTED = {"cnvW1A1": 8_000, "cnvW1A2": 4_000, "cnvW2A2": 3_000, "lfcW1A1": 150_000}
PUBLISHED = 2_945, 3_021  # images/s of cnvW1A1 on one Alveo U50


def load(name: str, folder: Path) -> Engine:
    """Return an engine, ready to run."""
    engine = Engine(name)
    engine.load(folder)
    return engine


def job(engine: Engine, name: str, count: int) -> Callable[[], object]:
    """Return a run over so many images, in one call, into memory that is used again."""
    data, classes = images(name, count), np.empty(count, np.int32)
    layout = Layout.RECORDS if network(name).has_scores else Layout.PIXELS
    return lambda: engine.run(data.data, count, layout, CLASSES, classes=classes)


def latency_ms(engine: Engine, name: str) -> float:
    """Return the usual time of one image on a warm engine."""
    one = job(engine, name, 1)
    return statistics.median(best(one, 1) for _ in range(500)) * 1000


def load_ms(name: str, folder: Path) -> float:
    """Return the time from nothing to an engine that is ready, files in the page cache."""
    return best(lambda: load(name, folder).close(), 10) * 1000


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--count", type=int, default=1024, help="images; 16 times as many for an LFC")
parser.add_argument("--repeat", type=int, default=7)
arguments = parser.parse_args()

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
figures = Figures()
engines: dict[str, Engine] = {}
counts: dict[str, int] = {}
jobs: dict[str, Callable[[], object]] = {}
for name in NAMES:
    with open_params(parameters(name), network(name)) as params:
        engines[name] = load(name, params.folder)
        loading = load_ms(name, params.folder)
    if name == "cnvW1A1":
        figures.at_most("loading cnvW1A1", loading, 50, " ms")
        figures.at_most("cnvW1A1, one image", latency_ms(engines[name], name), 0.4, " ms")
    else:
        print(f"{name}: loading {loading:.1f} ms, one image {latency_ms(engines[name], name):.3f} ms")
    counts[name] = arguments.count * (1 if network(name).has_scores else 16)
    jobs[name] = job(engines[name], name, counts[name])
times = best_of_each(jobs, arguments.repeat)
rates = {name: counts[name] / seconds for name, seconds in times.items()}
for name, rate in rates.items():
    macs = rate * sum(layer.rows * layer.columns * layer.output_pixels for layer in network(name).layers)
    print(f"{name}, {engines[name].isa}: {rate:,.0f} images/s, {macs / 1e9:,.0f} G multiply-accumulates/s")
for name, wanted in WANTED.items():
    figures.at_least(name, rates[name] / 1000, wanted / 1000, " thousand images/s")
low, high = (rates["cnvW1A1"] / published for published in reversed(PUBLISHED))
print(f"cnvW1A1 on this core against the published FPGA: {low:.2f}x to {high:.2f}x")
figures.finish()
