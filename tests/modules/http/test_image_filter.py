"""image_filter: what becomes of images, and of what only says that it is one."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any
from zlib import compressobj

import pytest

from geng.core.png import SIGNATURE, chunk
from geng.modules.http.image_size import kind_of, size_of
from scripts.lib.servers import wait_until
from tests.harness.backend import Answer
from tests.harness.client import Truncated

Image = pytest.importorskip("PIL.Image")

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location /size/ { alias %DIR%/; image_filter size; }
        location /test/ { alias %DIR%/; image_filter test; }
        location /resize/ { alias %DIR%/; image_filter resize $arg_w $arg_h; }
        location /crop/ { alias %DIR%/; image_filter crop $arg_w $arg_h; }
        location /rotate/ { alias %DIR%/; image_filter rotate $arg_a; }
        location /both/ { alias %DIR%/; image_filter crop 20 10; image_filter rotate 90; }
        location /inter/ { alias %DIR%/; image_filter resize 50 -; image_filter_interlace on; }
        location /opaque/ { alias %DIR%/; image_filter resize 50 -; image_filter_transparency off; }
        location /sharp/ { alias %DIR%/; image_filter resize 50 -; image_filter_sharpen 100; }
        location /quality/ { alias %DIR%/; image_filter resize 50 -; image_filter_jpeg_quality $arg_q; }
        location /small/ { alias %DIR%/; image_filter resize 50 -; image_filter_buffer 1k; }
        location /page/ { alias %DIR%/; image_filter resize 50 50; error_page 415 = /empty.gif; }
        location = /empty.gif { empty_gif; }
        location /up/ { proxy_pass http://127.0.0.1:%UP%/; image_filter resize 50 -; image_filter_buffer 10k; }
        location /up/size/ { proxy_pass http://127.0.0.1:%UP%/; image_filter size; }
        location /up/buffer { proxy_pass http://127.0.0.1:%UP%/; image_filter resize 5 5; proxy_buffering off; }
    }
}
"""


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (100, 60), **options: Any) -> bytes:
    """Red on the left, blue on the right, green below; what has an alpha channel is transparent in the middle."""
    width, height = size
    image = Image.new("RGBA", size, (255, 0, 0, 255))
    image.paste((0, 0, 255, 255), (width // 2, 0, width, height))
    image.paste((0, 255, 0, 255), (0, height * 3 // 4, width, height))
    if mode in ("RGBA", "P"):
        image.paste((0, 0, 0, 0), (width // 4, height // 4, width // 2, height // 2))
    out = BytesIO()
    if mode == "P":
        alpha = image.getchannel("A")
        image = image.convert("RGB").quantize(8)
        colours = image.getpalette("RGB")
        image.putpalette([*colours, 9, 9, 9])
        image.paste(len(colours) // 3, alpha.point(lambda a: 255 - a))
        options["transparency"] = len(colours) // 3
    elif mode != "RGBA":
        image = image.convert(mode)
    image.save(out, kind, **options)
    return out.getvalue()


def png_bomb(side: int) -> bytes:
    """A few KB that unfold to *side* times *side* pixels."""
    squeezed = compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join(squeezed.compress(row) for _ in range(side)) + squeezed.flush()
    head = pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_with_much_else() -> bytes:
    data = picture("JPEG", size=(40, 30))
    return data[:2] + b"\xff\xe1" + pack(">H", 5002) + b"x" * 5000 + data[2:]


FILES: dict[str, bytes | str] = {
    "a.jpg": picture("JPEG"),
    "grey.jpg": picture("JPEG", "L"),
    "cmyk.jpg": picture("JPEG", "CMYK"),
    "a.gif": picture("GIF", "P"),
    "a.png": picture("PNG"),
    "alpha.png": picture("PNG", "RGBA"),
    "palette.png": picture("PNG", "P"),
    "grey.png": picture("PNG", "L"),
    "a.webp": picture("WEBP"),
    "lossless.webp": picture("WEBP", lossless=True),
    "alpha.webp": picture("WEBP", "RGBA"),
    "much.jpg": jpeg_with_much_else(),
    "text": "this is no image at all",
    "short": "GIF89a",
    "empty": "",
    "half.jpg": picture("JPEG")[:400],
    "half.png": picture("PNG")[:60],
    "half.gif": picture("GIF")[:30],
    "bomb.png": png_bomb(40_000),
    "lies.gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2L\1\0;",
    "lies.webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xff\xff\xff\xff" + bytes(16),
    "junk.png": SIGNATURE + b"\xff" * 100,
}
WHOLE = [
    "a.jpg",
    "grey.jpg",
    "a.gif",
    "a.png",
    "alpha.png",
    "palette.png",
    "grey.png",
    "a.webp",
    "lossless.webp",
    "alpha.webp",
]


def answers(request: Any) -> Any:
    name = request.target[1:]
    if name.startswith("half"):
        return Answer(FILES["a.png"][:50], headers={"Content-Length": "1000", "Connection": "close"})
    if name == "endless":
        return Answer("GIF89a" + "x" * 50_000)
    return Answer(FILES["a.png"], headers={"Refresh": "5", "ETag": '"e"'})


@pytest.fixture
def s(server: Any, backend: Any) -> Any:
    return server(CONF, files=FILES, UP=backend(answers).port)


def opened(answer: Any) -> Any:
    assert answer.status == 200
    image = Image.open(BytesIO(answer.body))
    image.load()
    return image


def test_sizes() -> None:
    for name in WHOLE:
        data = FILES[name]
        assert isinstance(data, bytes)
        kind = kind_of(data)
        assert kind is not None
        assert size_of(kind, data) == (100, 60), name
        for length in range(0, len(data), 7):  # what is cut off may be wrong, but not break anything
            size_of(kind, data[:length])


@pytest.mark.live
def test_size_and_test(s: Any) -> None:
    for name in WHOLE:
        answer = s.get(f"/size/{name}")
        found = json.loads(answer.text)["img"]
        assert (found["width"], found["height"]) == (100, 60)
        assert answer["Content-Type"] == "application/json"
        answer = s.get(f"/test/{name}")
        assert answer.body == FILES[name]
        assert answer["Content-Type"] == f"image/{found['type']}"
        assert "Accept-Ranges" not in answer
    for name in ("text", "short", "empty"):
        assert s.get(f"/size/{name}").text == "{}\r\n"
        assert s.get(f"/test/{name}").status == 415
    with s.connect() as c:
        answer = c.ask("/resize/a.gif?w=50&h=-", "HEAD")
        assert (answer.status, answer["Content-Type"]) == (200, "image/gif")
        assert c.ask("/test/text", "HEAD").status == 415


@pytest.mark.live
@pytest.mark.parametrize("name", WHOLE)
def test_changes(s: Any, name: str) -> None:
    for target, size in [
        (f"/resize/{name}?w=50&h=-", (50, 30)),
        (f"/resize/{name}?w=-&h=20", (33, 20)),
        (f"/resize/{name}?w=1&h=1", (1, 1)),
        (f"/crop/{name}?w=20&h=20", (20, 20)),
        (f"/crop/{name}?w=200&h=20", (100, 20)),
        (f"/rotate/{name}?a=90", (60, 100)),
        (f"/rotate/{name}?a=180", (100, 60)),
        (f"/both/{name}", (10, 10)),
        (f"/inter/{name}", (50, 30)),
        (f"/opaque/{name}", (50, 30)),
        (f"/sharp/{name}", (50, 30)),
    ]:
        answer = s.get(target)
        image = opened(answer)
        if target.startswith("/both/"):
            assert image.size == (16, 10) or image.size[0] <= 20
        else:
            assert image.size == size, target
        assert answer["ETag"].startswith("W/")
    for target in (f"/resize/{name}?w=100&h=60", f"/crop/{name}?w=200&h=200"):
        answer = s.get(target)
        assert (answer.body, answer["ETag"][:2]) == (FILES[name], '"' + answer["ETag"][1])


@pytest.mark.live
def test_what_is_seen(s: Any) -> None:
    for name in ("a.png", "a.jpg", "a.webp", "palette.png", "a.gif"):
        image = opened(s.get(f"/rotate/{name}?a=90")).convert("RGB")
        red, green, blue = image.getpixel((10, 90))
        assert red > 200 > 50 > max(green, blue), name  # the left is below now
        red, green, blue = image.getpixel((10, 10))
        assert blue > 200 > 50 > max(red, green), name
        red, green, blue = image.getpixel((55, 50))
        assert green > 200 > 50 > max(red, blue), name
    for name in ("alpha.png", "alpha.webp", "palette.png", "a.gif"):
        assert opened(s.get(f"/resize/{name}?w=50&h=-")).convert("RGBA").getpixel((18, 10))[3] < 20, name
        assert opened(s.get(f"/resize/{name}?w=50&h=-")).convert("RGBA").getpixel((2, 2))[3] == 255, name
    for name in ("palette.png", "a.gif"):
        assert opened(s.get(f"/opaque/{name}")).convert("RGBA").getpixel((18, 10))[3] == 255, name
    sharp, plain = (opened(s.get(f"{target}a.png")) for target in ("/sharp/", "/opaque/"))
    assert sharp.tobytes() != plain.tobytes()


@pytest.mark.live
def test_interlaced(s: Any) -> None:
    for name in ("a.png", "alpha.png", "palette.png", "grey.png", "a.gif"):
        answer = s.get(f"/inter/{name}")
        image = opened(answer)
        if name == "a.gif":
            at = answer.body.index(pack("<BHHHH", 0x2C, 0, 0, 50, 30))
            assert answer.body[at + 9] & 0x40
        else:
            assert image.info["interlace"] == 1, name
        plain = opened(s.get(f"/resize/{name}?w=50&h=-"))
        assert image.convert("RGBA").tobytes() == plain.convert("RGBA").tobytes(), name
    assert opened(s.get("/inter/a.jpg")).info["progressive"] == 1


@pytest.mark.live
def test_quality_and_what_goes(s: Any) -> None:
    low, high = s.get("/quality/a.jpg?q=5"), s.get("/quality/a.jpg?q=1000")
    assert len(low.body) < len(high.body)
    assert b"quality = 5\n" in low.body
    assert b"quality = 100\n" in high.body
    assert s.get("/quality/a.jpg?q=0").status == 415
    assert b"xxxx" not in s.get("/resize/much.jpg?w=100&h=100").body
    answer = s.get("/up/a")
    assert opened(answer).size == (50, 30)
    assert ("Refresh" in answer, answer["ETag"]) == (False, 'W/"e"')
    assert opened(s.get("/resize/cmyk.jpg?w=50&h=-")).mode == "RGB"


@pytest.mark.live
def test_bad_numbers(s: Any) -> None:
    for target in (
        "/resize/a.gif?w=0&h=5",
        "/crop/a.gif?w=5",
        "/rotate/a.gif?a=45",
        "/rotate/a.gif",
        "/resize/a.gif?w=x&h=1",
    ):
        assert s.get(target).status == 415, target


@pytest.mark.live
@pytest.mark.parametrize("name", ["half.png", "half.gif", "bomb.png", "lies.gif", "lies.webp", "junk.png", "text", "empty"])
def test_no_images_and_bombs(s: Any, name: str) -> None:
    wait_until(s.workers, "workers")
    workers = s.workers()
    for target in (f"/resize/{name}?w=10&h=10", f"/crop/{name}?w=1&h=1", f"/rotate/{name}?a=90"):
        assert s.get(target).status == 415, target
    assert s.get(f"/page/{name}")["Content-Type"] == "image/gif"
    if name not in ("text", "empty"):  # of which nginx has nothing to say either
        line = next(line for line in s.log().splitlines() if "image filter: " in line and f"/resize/{name}" in line)
        assert "[error]" in line and " object at " not in line
        words = ("broken ",) if name[:4] in ("half", "junk") else (" pixels) exceeds limit", "too large image")
        assert any(word in line for word in words)
    assert s.get("/resize/a.gif?w=10&h=-").status == 200
    assert s.workers() == workers
    for pid in workers:
        status = Path(f"/proc/{pid}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0])
        assert peak < 500_000, "a bomb went off"  # KB


@pytest.mark.live
def test_too_large_for_the_buffer(s: Any) -> None:
    s.file("large.gif", b"GIF89a" + bytes(5000))
    assert s.get("/small/large.gif").status == 415
    answer = s.get("/up/endless")
    assert answer.status == 415
    log = s.log()
    assert "image filter: too big response: 5006, client: 127.0.0.1" in log
    assert "image filter: too big response: 50006, client: 127.0.0.1" in log


@pytest.mark.live
def test_an_upstream_that_dies(s: Any) -> None:
    with pytest.raises(Truncated), s.connect() as c:
        c.ask("/up/half")
    with s.connect() as c:
        c.send(b"GET /up/size/half HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.closed()
    assert "upstream prematurely closed connection while reading upstream" in s.log()
    assert opened(s.get("/up/buffer")).size == (5, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_filter resize 5;", 'invalid parameter "resize" in'),
        ("image_filter resize 0 5;", 'invalid parameter "0" in'),
        ("image_filter resize 5 x;", 'invalid parameter "x" in'),
        ("image_filter rotate 45;", 'invalid parameter "45" in'),
        ("image_filter blur;", 'invalid parameter "blur" in'),
        ("image_filter_jpeg_quality 0;", 'invalid value "0" in'),
        ("image_filter_webp_quality x;", 'invalid value "x" in'),
        ("image_filter_interlace yes;", 'it must be "on" or "off" in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ server {{ location / {{ {text} }} }} }}").stderr
