"""What the device host process costs a call: BNN-PYNQ's library in it against the same one in this process.

Both are the driver's accelerator, on 1,000 records of cnvW1A1 in memory. In the host process 3 MB of records
cross through shared memory, two pickles through a socket, and the table comes back. The library takes files,
so both write the records into a memory file of their own.
"""

from __future__ import annotations

import argparse

from _bnn_inputs import images, parameters
from _common import Figures, best_of_each

import accel_sdk as accel
from accel_drivers.bnn import Bnn, LibraryDriver

NETWORK, DEVICE = "cnvW1A1", "sim:0"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--count", type=int, default=1000, help="images a call")
parser.add_argument("--repeat", type=int, default=25)
arguments = parser.parse_args()

records = images(NETWORK, arguments.count)
kernel = Bnn(NETWORK, parameters(NETWORK))
with accel.open(kernel, DEVICE) as hosted, LibraryDriver().open(kernel, hosted.device) as direct:
    assert hosted.run(records).equals(direct.run(records)), "the host process changes the result"
    times = best_of_each(
        {"in the host process": lambda: hosted.run(records), "in this process": lambda: direct.run(records)},
        arguments.repeat,
    )
for name, seconds in times.items():
    print(f"{name}: {seconds * 1000:.2f} ms a call, {arguments.count / seconds:,.0f} images/s")
there, here = times.values()
print(f"in the host process against in this one: {there / here:.3f}x the time")
figures = Figures()
figures.at_most("added cost per call", (there - here) * 1000, 3, " ms")
figures.finish()
