"""Engines with parameters in them, what they say about pictures, and pictures to ask them about."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel_drivers.bnn import _abi
from accel_drivers.bnn._abi import Decision, Engine, Layout
from bnn_reference import is_cnv

ISAS = ("avx512", "avx2", "neon", "portable")
SENTINEL = -77


@functools.cache
def supported() -> tuple[str, ...]:
    return tuple(name for name, has in _abi.isas() if has)


def loaded(network: str, folder: Path, isa: str) -> Engine:
    engine = Engine(network, isa)
    engine.load(folder)
    return engine


def outputs_of(engine: Engine, network: str, images: NDArray[np.uint8]) -> NDArray[np.generic]:
    """Return what `Reference.run` returns, from the engine: all 64 outputs of each image."""
    if is_cnv(network):
        scores = np.full((len(images), 64), SENTINEL, np.int32)
        engine.run(images.data, len(images), Layout.PIXELS, 64, scores=scores)
        return scores
    words = np.full(len(images), 0xAAAA, np.uint64)
    engine.run(images.data, len(images), Layout.PIXELS, 64, words=words)
    return words


def classes_of(
    engine: Engine, images: NDArray[np.uint8], layout: Layout, number_class: int, decision: Decision
) -> NDArray[np.int32]:
    found = np.full(len(images), SENTINEL, np.int32)
    engine.run(images.data, len(images), layout, number_class, decision, classes=found)
    return found


def pictures(network: str, count: int, seed: int) -> NDArray[np.uint8]:
    """Return random pictures of many kinds: noise, few levels, constants, gradients, edges of the scale.

    The third one is white, which drives networks of the style "saturated" to the ends of their range.
    """
    rng = np.random.default_rng(seed)
    shape = (32, 32, 3) if is_cnv(network) else (28, 28)
    images = np.empty((count, *shape), np.uint8)
    ramp = np.linspace(0, 255, shape[0]).astype(np.uint8)
    for number, kind in enumerate(rng.integers(0, 7, count)):
        noise = rng.integers(0, 256, shape, np.uint8)
        if kind == 0:
            images[number] = rng.integers(0, 256)
        elif kind == 1:
            images[number] = rng.choice([0, 255])
        elif kind == 2:
            images[number] = (ramp if len(shape) == 2 else ramp[:, None])[::-1]
        elif kind == 3:
            images[number] = rng.choice(np.array([0, 127, 128, 254, 255], np.uint8), shape)
        elif kind == 4:
            images[number] = np.where(rng.random(shape) < 0.1, noise, rng.integers(0, 256))
        else:
            images[number] = noise
    images[2:3] = 255
    return images
