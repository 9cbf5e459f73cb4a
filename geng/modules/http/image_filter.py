"""`image_filter`: images tested, measured, resized, cut and turned on their way.

nginx: ngx_http_image_filter_module.c. Needs Pillow: `pip install geng[image_filter]`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, size
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL, LOC
from geng.core.values import BadValue, atoi
from geng.errors import Invalid
from geng.http.files import in_memory
from geng.http.filters import DISCARD, ClientGone, FileSlice, Parts, Writer, refuse
from geng.http.module import Module
from geng.http.response import ResponseOut
from geng.http.script import compile_value
from geng.modules.http.image_size import JPEG, LEAST, WEBP, application_data, kind_of, size_of
from geng.modules.http.image_work import CROP, RESIZE, ROTATE, Unfit, Work, encode, process

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

OFF, TEST, SIZE = "off", "test", "size"
TYPES = {"JPEG": b"image/jpeg", "GIF": b"image/gif", "PNG": b"image/png", "WEBP": b"image/webp"}

ANY = (1 << 31) - 1
"""What `-` means: as large as it is."""

Number = Any
"""An int, or a Value that gives one."""


def number_of(text: str | bytes) -> int:
    """A number above 0, or ANY for `-`; 0 for anything else."""
    if text in ("-", b"-"):
        return ANY
    try:
        return atoi(text)
    except BadValue:
        return 0


def ask(r: Request, number: Number) -> int:
    return number if isinstance(number, int) else number_of(number.fn(r))


def compiled(cf: Cf, text: str) -> Number:
    """*text* as a number, or as what gives one."""
    made = compile_value(cf, text)
    return number_of(text) if made.literal is not None else made


class ImageFilterConf(Conf, level=Level.LOCATION):
    """What is done to images. width, height, angle belong to the filter: they are inherited with it."""

    filter: str = value(OFF)
    width: Number = value(0)
    height: Number = value(0)
    angle: Number = value(0)
    jpeg_quality: Number = value(75)
    webp_quality: Number = value(80)
    sharpen: Number = value(0)
    transparency: bool = directive("image_filter_transparency", HSL, flag, default=True)
    interlace: bool = directive("image_filter_interlace", HSL, flag, default=False)
    buffer_size: int = directive("image_filter_buffer", HSL, size, default=1024 * 1024)

    @command("image_filter", LOC)
    def set_filter(self, cf: Cf) -> None:
        """`image_filter off | test | size | rotate angle | resize width height | crop width height`"""
        name, *numbers = cf.args
        if name != OFF and find_spec("PIL") is None:
            raise Invalid('"image_filter" needs Pillow, which is not installed')
        if len(numbers) == 0 and name in (OFF, TEST, SIZE):
            self.filter = name
        elif len(numbers) == 1 and name == ROTATE:
            if self.filter not in (RESIZE, CROP):
                self.filter = ROTATE
            self.angle = compiled(cf, numbers[0])
            if isinstance(self.angle, int) and self.angle not in (90, 180, 270):
                raise Invalid(f'invalid parameter "{numbers[0]}"')
        elif len(numbers) == 2 and name in (RESIZE, CROP):
            self.filter = name
            self.width, self.height = (self._side(cf, text) for text in numbers)
        else:
            raise Invalid(f'invalid parameter "{name}"')

    def _side(self, cf: Cf, text: str) -> Number:
        number = compiled(cf, text)
        if number == 0:
            raise Invalid(f'invalid parameter "{text}"')
        return number

    @command("image_filter_jpeg_quality", HSL)
    def set_jpeg_quality(self, cf: Cf) -> None:
        """`image_filter_jpeg_quality quality`"""
        self.jpeg_quality = self._number(cf, 1)

    @command("image_filter_webp_quality", HSL)
    def set_webp_quality(self, cf: Cf) -> None:
        """`image_filter_webp_quality quality`"""
        self.webp_quality = self._number(cf, 1)

    @command("image_filter_sharpen", HSL)
    def set_sharpen(self, cf: Cf) -> None:
        """`image_filter_sharpen percent`"""
        self.sharpen = self._number(cf, 0)

    def _number(self, cf: Cf, least: int) -> Number:
        text = cf.args[0]
        number = compiled(cf, text)
        if isinstance(number, int) and (number < least or number == ANY):
            raise Invalid(f'invalid value "{text}"')
        return number

    def merge(self, cf: Cf, parent: Any) -> None:
        if self.filter is not UNSET:
            self.width, self.height, self.angle = self.width or 0, self.height or 0, self.angle or 0
        super().merge(cf, parent)


# ---- the filter


def link(loc: CoreLoc) -> Filter | None:
    """The filter of one location."""
    conf = loc[ImageFilterConf]
    if conf.filter == OFF:
        return None
    limit = conf.buffer_size

    def image_filter(r: Request, next: Send) -> Writer:
        out = r.out
        if out.status == 304:
            return next(r)
        if r.ctx.pop(ImageFilterConf, None) is not None:  # what stands in place of an image
            return next(r)
        if out.content_type[:25].lower() == b"multipart/x-mixed-replace":
            r.log.error("image filter: multipart/x-mixed-replace response", ctx=r.c)
            r.hc.broken = True
            raise ClientGone
        if out.content_length > limit:
            r.log.error(f"image filter: too big response: {out.content_length}", ctx=r.c)
            r.ctx[ImageFilterConf] = True
            return refuse(r, 415)
        r.ctx[ImageFilterConf] = True
        out.remove(b"refresh")
        r.allow_ranges = False
        return ImageWriter(r, conf, next)

    return image_filter


class ImageWriter(Writer):
    """Holds the head back until the image is there, or until it is known that there is none.

    held: what has come so far; sent: the head is on its way, and all that comes now passes (or is dropped).
    """

    __slots__ = ("conf", "held", "held_size", "kind", "next", "r", "sent")

    def __init__(self, r: Request, conf: ImageFilterConf, next: Send) -> None:
        self.inner = DISCARD
        self.r = r
        self.conf = conf
        self.next = next
        self.kind: str | None = None
        self.held: list[bytes] = []
        self.held_size = 0
        self.sent = False

    def write(self, parts: Parts, flush: bool = False) -> None:
        if self.sent:
            self.inner.write(parts, flush)
            return
        if self.kind is None and not self.held and self.conf.filter == TEST:
            if self._pass_on(parts, flush):
                return
        for data in in_memory(self.r, parts):
            self.held.append(bytes(data))
            self.held_size += len(data)
            if self.held_size > self.conf.buffer_size:
                self.r.log.error("image filter: too big response", ctx=self.r.c)
                self.r.keepalive = False
                self._refuse()
                raise ClientGone  # the rest of it need not come

    def _pass_on(self, parts: Parts, flush: bool) -> bool:
        """`test`: from the first bytes on it passes as it is."""
        if not parts:
            return True
        first = parts[0]
        if type(first) is FileSlice:
            first = FileSlice(first.fd, first.offset, min(first.length, LEAST)).read()
        if len(first) < LEAST:
            return False
        kind = kind_of(bytes(first[:LEAST]))
        if kind is None:
            self._refuse()
        else:
            self._begin(kind)
            self.inner.write(parts, flush)
        return True

    def _begin(self, kind: str) -> None:
        """Send the head, as that of an image of *kind*."""
        self.sent = True
        self.r.out.content_type = TYPES[kind]
        self.inner = self.next(self.r)

    def _refuse(self) -> None:
        self.sent = True
        self.inner = refuse(self.r, 415)

    def _answer(self, body: bytes) -> None:
        """The whole answer is *body*."""
        r = self.r
        self.sent = True
        r.out.content_length = len(body)
        self.inner = inner = self.next(r)
        if not r.header_only:
            inner.write((body,))
        inner.end()
        self.inner = DISCARD

    def end(self) -> None:
        if self.sent:
            self.inner.end()
            return
        data = b"".join(self.held)
        self.held = []
        kind = kind_of(data)
        if kind is None:
            if self.conf.filter == SIZE:
                self._json(None, b"")
            else:
                self._refuse()
            return
        if self.conf.filter == TEST:
            self._begin(kind)
            self.inner.write((data,))
            self.inner.end()
            return
        self.r.out.content_type = TYPES[kind]
        try:
            self._process(kind, data)
        except Unfit as unfit:
            if str(unfit):
                self.r.log.error(str(unfit), ctx=self.r.c)
            self._refuse()

    def abort(self) -> None:
        if self.sent:
            self.inner.abort()
            return
        self.r.keepalive = False  # half an image is none, and its head was never sent
        self.r.hc.broken = True

    def _process(self, kind: str, data: bytes) -> None:
        """nginx: ngx_http_image_process. Raises Unfit."""
        r, conf = self.r, self.conf
        measured = size_of(kind, data)
        if conf.filter == SIZE:
            self._json(measured, TYPES[kind][6:])
            return
        force = kind == JPEG and measured is not None and len(data) // 20 < application_data(data)
        angle = ask(r, conf.angle)
        width = height = 0
        if conf.filter == ROTATE:
            if angle not in (90, 180, 270):
                raise Unfit("")
        else:
            width, height = ask(r, conf.width), ask(r, conf.height)
            if not width or not height:
                raise Unfit("")
            if measured is not None and measured[0] <= width and measured[1] <= height and not angle and not force:
                self._answer(data)
                return
        sharpen = ask(r, conf.sharpen)
        work = Work(kind, conf.filter, width, height, angle, force, sharpen, conf.transparency, conf.interlace)
        image = process(data, work)
        if image is None:
            self._answer(data)
            return
        quality = ask(r, conf.webp_quality if kind == WEBP else conf.jpeg_quality)
        if kind in (JPEG, WEBP) and not quality:
            raise Unfit("")
        body = encode(image, kind, quality, conf.interlace)
        r.out.weaken_etag()
        self._answer(body)

    def _json(self, measured: tuple[int, int] | None, name: bytes) -> None:
        out = self.r.out = ResponseOut()
        out.status = 200
        out.content_type = b"application/json"
        if measured is None:
            self._answer(b"{}\r\n")
            return
        self._answer(b'{ "img" : { "width": %d, "height": %d, "type": "%s" } }\r\n' % (*measured, name))


module = Module(
    name="http_image_filter",
    configure_flag="--with-http_image_filter_module",
    confs=(ImageFilterConf,),
    header_filter=link,
)
