"""Two CPU devices against one, and what the runner costs: 20,000 images of cnvW1A1 from memory.

What limits it is measured in the same run: two threads that only call the engine, each on its half of the
images, against one that does both. The overhead is of the runner on one device (its chunks, Dask, the merge)
against one `run` of an accelerator over all images, both from the same records to the same table.
"""

from __future__ import annotations

import argparse
import threading

import numpy as np
from _bnn_inputs import CLASSES, images, parameters
from _common import Figures, best_of_each
from numpy.typing import NDArray

import accel_sdk as accel
from accel_drivers.bnn import Bnn
from accel_drivers.bnn._abi import Engine, Layout
from accel_drivers.bnn._networks import network
from accel_drivers.bnn._params import open_params

NETWORK = "cnvW1A1"


def bare(engine: Engine, records: NDArray[np.uint8], threads: int) -> None:
    """Classify all records with the engine alone, in so many threads."""

    def work(part: NDArray[np.uint8]) -> None:
        classes = np.empty(len(part), np.int32)
        engine.run(part.data, len(part), Layout.RECORDS, CLASSES, classes=classes)

    workers = [threading.Thread(target=work, args=(part,)) for part in np.array_split(records, threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--count", type=int, default=20_000, help="images")
parser.add_argument("--repeat", type=int, default=7)
arguments = parser.parse_args()

records = images(NETWORK, arguments.count)
chosen = parameters(NETWORK)
kernel = Bnn(NETWORK, chosen)
engine = Engine(NETWORK)
with open_params(chosen, network(NETWORK)) as params:
    engine.load(params.folder)
with accel.open(kernel, "cpu:0") as plain, accel.Runner("cpu:0") as one, accel.Runner("cpu:0,cpu:1") as two:
    times = best_of_each(
        {
            "one bare thread": lambda: bare(engine, records, 1),
            "two bare threads": lambda: bare(engine, records, 2),
            "accelerator.run": lambda: plain.run(records),
            "runner on cpu:0": lambda: one.run(kernel, records),
            "runner on cpu:0 and cpu:1": lambda: two.run(kernel, records),
        },
        arguments.repeat,
    )
    same = plain.run(records).equals(two.run(kernel, records))
engine.close()
assert same, "the runner's table differs from that of one call"

for name, seconds in times.items():
    print(f"{name}: {arguments.count / seconds:,.0f} images/s")
limit = times["one bare thread"] / times["two bare threads"]
print(f"the machine's limit, two bare threads against one: {limit:.2f}x")
figures = Figures()
overhead = (times["runner on cpu:0"] / times["accelerator.run"] - 1) * 100
figures.at_most("overhead of the runner on cpu:0", overhead, 5, " %")
ratio = times["runner on cpu:0"] / times["runner on cpu:0 and cpu:1"]
figures.at_least("two CPU devices against one", ratio, 1.85, "x")
figures.finish()
