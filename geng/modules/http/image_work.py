"""Images decoded, resized, cut, turned and encoded again, by Pillow, which is only imported where it is needed.

nginx: ngx_http_image_filter_module.c (ngx_http_image_resize, …_out), which uses libgd
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from geng.core import png
from geng.modules.http.image_size import GIF, JPEG, PNG, WEBP

MOST_PIXELS = 50_000_000
"""No image may unfold to more: a few KB of PNG can say that they are 65535 by 65535. nginx has no such limit."""

RESIZE, CROP, ROTATE = "resize", "crop", "rotate"


class Unfit(Exception):
    """Nothing can be made of this image; its text is what the log gets."""


@dataclass(slots=True)
class Work:
    """What to do. width, height: at most so large (RESIZE, CROP); force: even when it is as it should be."""

    kind: str
    filter: str
    width: int
    height: int
    angle: int
    force: bool
    sharpen: int
    transparency: bool
    interlace: bool


def process(data: bytes, work: Work) -> Any:
    """The image that *work* makes of *data*; None when it can stay as it is. Raises Unfit."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(BytesIO(data), formats=[work.kind])
        if image.width * image.height > MOST_PIXELS:
            raise Unfit(f"image filter: too large image: {image.width} x {image.height}")
        image.load()
        return _changed(image, work)
    except Unfit:
        raise
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        MemoryError,
        ArithmeticError,
        IndexError,
        KeyError,
        TypeError,
    ) as error:
        # decoders raise all of these on broken files
        why = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise Unfit(f"image filter: broken {work.kind} image{why}") from None
    except Image.DecompressionBombError as error:
        raise Unfit(f"image filter: {error}") from None


def _changed(image: Any, work: Work) -> Any:
    width, height = image.size
    if not work.force and not work.angle and width <= work.width and height <= work.height:
        return None
    paletted = image.mode in ("P", "1", "L") and work.kind in (GIF, PNG)
    image = _plain(image, work.transparency or not paletted)
    image = _resized(image, work)
    if work.angle:
        image = image.transpose(_turn(work.angle))
    if work.filter == CROP:
        image = _cropped(image, work)
    if work.sharpen and not paletted:
        image = _sharpened(image, work.sharpen)
    image.info = {}  # profiles, comments: what is not the picture does not go on
    return _to_palette(image) if paletted else image


def _plain(image: Any, transparency: bool) -> Any:
    """In colours, with an alpha channel where there is any transparency to keep."""
    if transparency and (image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info):
        return image.convert("RGBA")
    if image.mode == "P":
        image.info.pop("transparency", None)
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _resized(image: Any, work: Work) -> Any:
    from PIL import Image

    width, height = image.size
    if work.filter == RESIZE:
        if width > work.width:
            height = max(height * work.width // width, 1)
            width = work.width
        if height > work.height:
            width = max(width * work.height // height, 1)
            height = work.height
    elif work.filter == CROP:
        if width / height < work.width / work.height:
            if width > work.width:
                height = max(height * work.width // width, 1)
                width = work.width
        elif height > work.height:
            width = max(width * work.height // height, 1)
            height = work.height
    if (width, height) == image.size:
        return image
    return image.resize((width, height), Image.Resampling.BOX)


def _turn(angle: int) -> Any:
    from PIL import Image

    turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
    if angle not in turns:
        raise Unfit(f"image filter: rotation by {angle}")
    return turns[angle]


def _cropped(image: Any, work: Work) -> Any:
    """The middle of what is still too large."""
    width, height = image.size
    over, above = max(width - work.width, 0), max(height - work.height, 0)
    if not over and not above:
        return image
    left, top = over // 2, above // 2
    return image.crop((left, top, left + width - over, top + height - above))


def _sharpened(image: Any, percent: int) -> Any:
    """As gdImageSharpen: each pixel against its neighbours, in both directions."""
    from PIL import ImageFilter

    outer = -percent / 400
    line = (outer, 1 - 2 * outer, outer)
    return image.filter(ImageFilter.Kernel((3, 3), [a * b for a in line for b in line], 1))


def _to_palette(image: Any) -> Any:
    """At most 256 colours, one of them transparent if any is."""
    if image.mode == "L":
        return image
    if image.mode != "RGBA":
        return image.quantize(256)
    alpha = image.getchannel("A")
    made = image.convert("RGB").quantize(255)
    palette = made.getpalette("RGB")
    nothing = len(palette) // 3  # the colour behind those in use
    made.putpalette([*palette, 255, 255, 255])
    made.paste(nothing, alpha.point(lambda a: 255 if a < 128 else 0, "L"))
    made.info = {"transparency": nothing}
    return made


def encode(image: Any, kind: str, quality: int, interlace: bool) -> bytes:
    """The file of *kind*. Raises Unfit."""
    options: dict[str, Any] = {}
    if kind == JPEG:
        if image.mode not in ("RGB", "L"):
            image = image.convert("RGB")
        quality = min(quality, 100)
        options = {"quality": quality, "progressive": interlace, "comment": f"CREATOR: geng, quality = {quality}\n"}
    elif kind == GIF:
        options = {"interlace": 0}
    elif kind == WEBP:
        options = {"quality": min(quality, 100)}
    elif interlace:
        return _interlaced_png(image)
    if kind == GIF and interlace:
        if image.mode not in ("P", "L"):
            image = image.quantize(256)
        image = _rows_in_turns(image)
    if "transparency" in image.info and kind in (GIF, PNG):
        options["transparency"] = image.info["transparency"]
    out = BytesIO()
    try:
        image.save(out, kind, **options)
    except (OSError, ValueError, KeyError, MemoryError) as error:
        raise Unfit(f"image filter: cannot write {kind}: {error}") from None
    return _as_interlaced(out.getvalue()) if kind == GIF and interlace else out.getvalue()


def _rows_in_turns(image: Any) -> Any:
    """Rows in the order in which an interlaced GIF has them. Pillow interlaces none that is less than 16 pixels high."""
    stride, data = image.width, image.tobytes()
    order = [y for first, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(first, image.height, step)]
    made = image.copy()
    made.frombytes(b"".join(data[y * stride : (y + 1) * stride] for y in order))
    return made


def _as_interlaced(data: bytes) -> bytes:
    """Set the flag in the image's descriptor, which stands behind the table of colours and the extensions."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    return data[: at + 9] + bytes((data[at + 9] | 0x40,)) + data[at + 10 :]


def _interlaced_png(image: Any) -> bytes:
    colours = {"L": (png.GREY, 1), "RGB": (png.COLOURS, 3), "RGBA": (png.COLOURS_ALPHA, 4), "P": (png.PALETTE, 1)}
    colour, size = colours[image.mode]
    palette = alphas = b""
    if colour == png.PALETTE:
        palette = bytes(image.getpalette("RGB"))
        transparent = image.info.get("transparency")
        if transparent is not None:
            palette = palette.ljust(3 * (transparent + 1), b"\0")
            alphas = b"\xff" * transparent + b"\0"
    width, height = image.size
    return png.interlaced(width, height, colour, size, image.tobytes(), palette, alphas)
