"""The modelled time of cnvW1A1 beside what was published for FPGAs. Nothing here is measured wall time.

What limits the hardware is its slowest layer: layers work side by side on successive images, each for
synapse folds x neuron folds x output pixels cycles of the 100 MHz clock.
"""

from __future__ import annotations

import argparse

from _bnn_inputs import images, parameters
from _common import Figures

import accel_sdk as accel
from accel_drivers.bnn import Bnn, network
from accel_drivers.bnn._networks import CLOCK_HZ

NETWORK = "cnvW1A1"
PUBLISHED = 2_945, 3_021  # images/s on one Alveo U50
PUBLISHED_MS = 0.3277  # milliseconds an image, beside a constant, in published runs of many sizes
CYCLES = 32_768

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--count", type=int, default=10_000, help="images in all, 1,000 or more")
arguments = parser.parse_args()

modelled = network(NETWORK)
print("layer  synapse folds  neuron folds  pixels  cycles (modelled)")
for number, layer in enumerate(modelled.layers):
    folds = f"{layer.synapse_folds:13}  {layer.neuron_folds:12}  {layer.output_pixels:6}"
    note = " the slowest" if layer.cycles == modelled.cycles else ""
    print(f"{number:5}  {folds}  {layer.cycles:6,}{note}")
rate = CLOCK_HZ / modelled.cycles
print(f"modelled: {modelled.cycles:,} cycles at {CLOCK_HZ / 1e6:.0f} MHz, {rate:,.0f} images/s")
print(f"published, one Alveo U50: {PUBLISHED[0]:,} to {PUBLISHED[1]:,} images/s")

kernel = Bnn(NETWORK, parameters(NETWORK))
calls: dict[int, float] = {}  # images of one call, and what the hardware would have taken for it
with accel.open(kernel, "sim:0") as board:
    for chunk in kernel.split(images(NETWORK, arguments.count), [1.0]):
        before = board.stats.device_s or 0.0
        board.run(chunk)
        calls[chunk.count] = (board.stats.device_s or 0.0) - before
    whole_s = board.stats.device_s or 0.0
few, many = min(calls), max(calls)
slope_ms = (calls[many] - calls[few]) / (many - few) * 1000
print(f"modelled, sim:0: {few:,} images in a call {calls[few]:.4f} s, {many:,} {calls[many]:.4f} s")
print(f"modelled, sim:0: {slope_ms:.4f} ms an image + {calls[few] * 1000 - few * slope_ms:.3f} ms a call")
print(f"published: {PUBLISHED_MS} ms an image + a constant")
whole_rate = arguments.count / whole_s
print(f"modelled, sim:0: {whole_rate:,.0f} images/s over {arguments.count:,} images in the runner's chunks")

figures = Figures()
figures.at_most("modelled cycles an image, difference from 32,768", abs(modelled.cycles - CYCLES), 0)
difference = abs(slope_ms / PUBLISHED_MS - 1) * 100
figures.at_most("modelled ms an image, difference from the published", difference, 1, " %")
print(f"modelled rate against the published: {rate / PUBLISHED[1]:.3f}x to {rate / PUBLISHED[0]:.3f}x")
figures.finish()
