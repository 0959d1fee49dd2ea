"""cnvW1A1 on one core against ONNX Runtime: same parameters, images, core and run; 1,024 images a call.

What limits it: an image is 59.4 million binary multiply-accumulates. Plain xor, popcount and add on 512-bit
registers from L1 was measured at 1,229 G of them per second on one core (AMD EPYC, Zen 4), some 20,700
images/s; the fraction printed is of that. Carry-save adders can beat it. Ours starts from records, with their
pixels scaled and packed in the time; the peer gets what its model takes, made beforehand, and its best batch.

ONNX Runtime cannot be told to leave AVX-512 alone (_bnn_onnx.py), so AVX2 has the same peer as AVX-512. In a
copy of ONNX Runtime 1.31 whose check for AVX-512 was taken out by hand, int8 ran at half its speed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _bnn_inputs import CLASSES, images, parameters
from _bnn_onnx import Peer, peers
from _common import Figures, best, best_of_each
from numpy.typing import NDArray

from accel_drivers.bnn._abi import Engine, Layout, isas
from accel_drivers.bnn._networks import network
from accel_drivers.bnn._params import open_params

NETWORK = "cnvW1A1"
MAC_S = 1_229e9  # measured, see above
BATCHES = (1, 8, 32, 64, 128)
Job = Callable[[], object]


def best_batch(peer: Peer, prepared: NDArray[np.generic]) -> int:
    """Return the batch with which the peer is fastest."""
    some = prepared[: max(BATCHES)]
    return min(BATCHES, key=lambda batch: best(lambda: peer.run(some, batch), 3))


def our_jobs(folder: Path, records: NDArray[np.uint8]) -> tuple[dict[str, Job], NDArray[np.int32]]:
    """Return a job for each instruction set of this CPU, best first, and where all put the classes."""
    classes = np.empty(len(records), np.int32)
    jobs: dict[str, Job] = {}
    for isa in (name for name, supported in isas() if supported):
        engine = Engine(NETWORK, isa)
        engine.load(folder)
        jobs[isa] = partial(engine.run, records.data, len(records), Layout.RECORDS, CLASSES, classes=classes)
    return jobs, classes


def check_same(
    ours: dict[str, Job], classes: NDArray[np.int32], theirs: dict[str, NDArray[np.int32]]
) -> None:
    """End the process unless everybody gives the same classes: they would not be doing the same work."""
    for isa, job in ours.items():
        classes.fill(-1)
        job()
        for name, expected in theirs.items():
            if not np.array_equal(classes, expected):
                sys.exit(
                    f"{isa} and {name} disagree on {(classes != expected).sum()} of {len(classes)} images"
                )


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--params", help="folder, archive or name (default: published ones, else random)")
parser.add_argument("--count", type=int, default=1024, help="images")
parser.add_argument("--repeat", type=int, default=7)
arguments = parser.parse_args()

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
records = images(NETWORK, arguments.count)
theirs: dict[str, Job] = {}
expected: dict[str, NDArray[np.int32]] = {}
with open_params(arguments.params or parameters(NETWORK), network(NETWORK)) as params:
    ours, classes = our_jobs(params.folder, records)
    for name, peer in peers(params.folder).items():
        prepared = peer.prepare(records)
        batch = best_batch(peer, prepared)
        print(f"{name}: its best batch is {batch}")
        theirs[name] = partial(peer.run, prepared, batch)
        expected[name] = peer.scores(prepared)[:, :CLASSES].argmax(axis=1).astype(np.int32)
check_same(ours, classes, expected)

times = best_of_each({**ours, **theirs}, arguments.repeat)
rates = {name: arguments.count / seconds for name, seconds in times.items()}
work = sum(layer.rows * layer.columns * layer.output_pixels for layer in network(NETWORK).layers)
for name, rate in rates.items():
    print(f"{name}: {rate:,.0f} images/s, {rate * work / MAC_S:.1%} of the machine's {MAC_S / work:,.0f}")
int8, fp32 = (rates[name] for name in theirs)
figures = Figures()
if "avx2" in ours:
    figures.at_least("avx2 against ONNX Runtime int8", rates["avx2"] / int8, 1, "x")
if "avx512" in ours:
    figures.at_least("avx2 against avx512", rates["avx2"] / rates["avx512"], 0.3, "x")
    figures.at_least("avx512", rates["avx512"] / 1000, 8, " thousand images/s")
fastest = next(iter(ours))
figures.at_least(f"{fastest} against ONNX Runtime fp32", rates[fastest] / fp32, 9, "x")
figures.at_least(f"{fastest} against ONNX Runtime int8", rates[fastest] / int8, 2.5, "x")
figures.finish()
