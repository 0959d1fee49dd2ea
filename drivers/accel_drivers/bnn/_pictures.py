"""Pictures in any format that Pillow reads (extra ``images``), prepared as the networks want them."""

from __future__ import annotations

import io
import threading
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

from accel_drivers.bnn._networks import Network
from accel_sdk.errors import DataError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
SIGNATURE_BYTES = 12
_COMMON = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"]
)
_warnings_lock = threading.Lock()


def check_installed() -> None:
    """Make sure that Pillow is there.

    Raises
    ------
    UnsupportedError
        If it is not.
    """
    if hint() is not None:
        raise UnsupportedError("Pillow is not installed", hint=hint())


def hint() -> str | None:
    """Return what to do to have pictures read; ``None`` if they can be."""
    return None if find_spec("PIL") else "to read pictures, run: pip install 'accel-sdk[images]'"


def suffixes() -> frozenset[str]:
    """Return the suffixes of the pictures that Pillow reads, in lower case.

    Without Pillow those of common ones, so that a picture is not taken for something else.
    """
    if hint() is not None:
        return _COMMON
    from PIL import Image

    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def has_signature(head: bytes) -> bool:
    """Return whether these first bytes of a file are a picture's: JPEG, PNG, GIF, TIFF or WebP."""
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def prepared(content: memoryview, of: Network, *, invert: bool, name: str) -> NDArray[np.uint8]:
    """Decode a picture and make it an image of a network's size.

    For a CNV as FORMAT.md section 3.2 says: shrunk to fit, in the middle of a white square. For an LFC grey,
    shrunk to fit, in the middle of black; what is transparent is black. With `invert` both are white before
    the whole is inverted, so that dark ink on light paper becomes what MNIST has.

    Parameters
    ----------
    content
        Of the picture's file.
    name
        For error texts.

    Returns
    -------
    NDArray[np.uint8]
        Shape ``(32, 32, 3)`` or ``(28, 28)``.

    Raises
    ------
    DataError
        If Pillow cannot read it, or it has more pixels than Pillow deems safe.
    UnsupportedError
        If Pillow is not installed.
    """
    check_installed()
    try:
        with _opened(content) as picture:
            make = _coloured if of.channels == 3 else _grey
            return make(picture, (of.width, of.height), invert)
    except Exception as error:  # Pillow's decoders raise whatever their code stumbles upon
        reason = str(error).partition("\n")[0] or type(error).__name__
        if "BytesIO" in reason:  # "cannot identify image file <_io.BytesIO object at ...>"
            reason = "it is no picture that Pillow knows"
        raise DataError(f"cannot read picture {name}: {reason}") from error


def _opened(content: memoryview) -> Picture:
    """Open a picture; one that would fill the memory is an error, not a warning."""
    from PIL import Image

    # Which warnings are errors is the whole process's state, and several devices decode at once.
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content))


def _coloured(picture: Picture, size: tuple[int, int], invert: bool) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    small = _shrunk(_eight_bits(picture), size)
    square = Image.new("RGBA", size, (255, 255, 255, 0))
    square.paste(small, _middle(small, size))  # without a mask: alpha is copied, then dropped
    pixels = np.asarray(square)[:, :, :3]
    return np.ascontiguousarray(255 - pixels if invert else pixels)


def _grey(picture: Picture, size: tuple[int, int], invert: bool) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    paper = 255 if invert else 0
    if picture.has_transparency_data:
        opaque = Image.new("RGBA", picture.size, (paper, paper, paper, 255))
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque
    small = _shrunk(_eight_bits(picture).convert("L"), size)
    square = Image.new("L", size, paper)
    square.paste(small, _middle(small, size))
    pixels = np.array(square)
    return 255 - pixels if invert else pixels


def _shrunk(picture: Picture, size: tuple[int, int]) -> Picture:
    from PIL import Image

    picture.thumbnail(size, Image.Resampling.LANCZOS)
    return picture


def _eight_bits(picture: Picture) -> Picture:
    """Return a picture with 8 bits a channel: Pillow would cut the upper ones off, or refuse."""
    import numpy as np
    from PIL import Image

    if picture.mode == "F":
        return Image.fromarray(np.nan_to_num(np.asarray(picture)).clip(0, 255).astype(np.uint8))
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture).astype(np.int64)
    wide = picture.mode.startswith("I;16") or values.max(initial=0) > 255
    return Image.fromarray((values >> 8 if wide else values).clip(0, 255).astype(np.uint8))


def _middle(small: Picture, size: tuple[int, int]) -> tuple[int, int]:
    return int((size[0] - small.width) / 2), int((size[1] - small.height) / 2)
