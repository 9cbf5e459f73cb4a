"""mp4 and flv: a part of a video, and files that are none."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from geng.core.mp4 import Mp4, WholeFile
from geng.core.mp4_track import BadFile, Wanted
from geng.modules.http.mp4 import asked, milliseconds
from tests.harness.mp4 import Sample, Track, anything, atom, atoms, mp4, samples_of

LARGE = 1 << 20


def video(moov_first: bool = True, **more: Any) -> bytes:
    """Fifty samples of 40 ms, a key frame each ten, chunks of four and three."""
    samples = [Sample(40, n % 2 * 80, n % 10 == 0, b"%03d" % n * (1 + n % 3)) for n in range(50)]
    return mp4([Track(samples, [4] * 5 + [3] * 10, **more)], moov_first)


def cut(data: bytes, start: float, end: float = 0, key_frame: bool = False) -> bytes:
    times = int(start * 1000), int((end - start) * 1000) if end else 0
    file = Mp4("x", len(data), lambda n, at: data[at : at + n], Wanted(*times, key_frame, LARGE, LARGE))
    file.cut()
    made = b"".join(file.head) + data[file.start : file.end]
    assert len(made) == file.length
    return made


def numbers(data: bytes) -> list[int]:
    (samples,) = samples_of(data)
    return [int(content[:3]) for _, content in samples]


KINDS = [{}, {"co64": True}, {"long": True}, {"with_ctts": False}, {"with_stss": False}, {"timescale": 500}]


@pytest.mark.parametrize("moov_first", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_parts(kind: dict[str, Any], moov_first: bool) -> None:
    data = video(moov_first, **kind)
    each = 40 * 1000 // kind.get("timescale", 1000)  # ms
    assert numbers(data) == list(range(50))
    for start, end in [(0.0, 0.5), (0.1, 0.0), (0.5, 1.0), (0.08, 0.4), (0.4, 1.56), (1.0, 9.0), (0.24, 0.88)]:
        first = int(start * 1000) // each
        last = min(first + int((end - start) * 1000) // each, 50) if end else 50
        assert numbers(cut(data, start, end)) == list(range(first, last)), (start, end)


def test_a_part_begins_with_a_key_frame() -> None:
    data = video()
    made = cut(data, 0.5, 1.0, key_frame=True)
    assert numbers(made) == list(range(10, 24))
    trak = atoms(made, *atoms(made, *atoms(made)[b"moov"][0])[b"trak"][0])
    start, end = atoms(made, *trak[b"edts"][0])[b"elst"][0]
    assert int.from_bytes(made[start + 16 : start + 24], "big") == 80  # ms to leave out
    assert numbers(cut(data, 0.4, 1.0, key_frame=True)) == list(range(10, 25))
    assert b"elst" not in cut(data, 0.4, 1.0, key_frame=True)


def test_short_tracks_are_left_out() -> None:
    def track(count: int, name: bytes) -> Track:
        return Track([Sample(100, 0, True, name * 3) for _ in range(count)], [1] * count)

    data = mp4([track(10, b"a"), track(20, b"b")], True)
    assert [len(samples) for samples in samples_of(cut(data, 0.5))] == [5, 15]
    assert [len(samples) for samples in samples_of(cut(data, 1.2))] == [8]
    with pytest.raises(BadFile, match='"x" mp4 start time exceeds file duration'):
        cut(data, 3)


def test_the_whole() -> None:
    with pytest.raises(WholeFile):
        cut(video(), 0)
    assert numbers(cut(video(moov_first=False), 0)) == list(range(50))


MOOV = atom(b"moov", b"")
BAD = [
    (b"", "no mp4 trak atoms were found"),
    (b"abc", "mp4 file truncated"),
    (b"\0\0\0\7abcd", "mp4 atom is too small:7"),
    (b"\0\0\0\1abcd\0\0\0\0\0\0\0\4", "mp4 atom is too small:4"),
    (b"\0\0\0\1abcd" + b"\xff" * 8, "mp4 atom too large:18446744073709551615"),
    (b"\0\0\0\x10abcd", "mp4 atom too large:16"),
    (atom(b"ftyp", bytes(1025)), "mp4 ftyp atom is too large:1025"),
    (atom(b"ftyp", b"a") * 2, "duplicate mp4 ftyp atom in"),
    (atom(b"mdat", b"a") * 2, "duplicate mp4 mdat atom in"),
    (MOOV + MOOV, "duplicate mp4 moov atom in"),
    (atom(b"moov", atom(b"cmov", b"")), "mp4 compressed moov atom (cmov) is not supported"),
    (atom(b"moov", atom(b"mvhd", bytes(99))), "mp4 mvhd atom too small"),
    (atom(b"moov", atom(b"trak", b"")), "no mp4 mdat atom was found"),
    (atom(b"moov", atom(b"trak", b"")) + atom(b"mdat", b""), "no mp4 stts atoms were found"),
    (atom(b"moov", b"\0\0\0\x09trak"), "mp4 atom too large:9"),
    (atom(b"moov", b"abc"), "mp4 file truncated"),
    (atom(b"moov", bytes(LARGE)), "mp4 moov atom is too large:1048576, you may want to increase mp4_max_buffer_size"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_what_is_no_video(data: bytes, message: str) -> None:
    file = Mp4("x", len(data), lambda n, at: data[at : at + n], Wanted(100, 0, False, 1000, 100_000))
    with pytest.raises(BadFile) as raised:
        file.cut()
    assert message in str(raised.value)


def test_broken_files_do_no_harm() -> None:
    """Nothing but BadFile comes of any file, and what is cut is as long as it says."""
    random = Random(1)
    for _ in range(400):
        data = bytearray(anything(random))
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.choice((0, 1, 2, 127, 128, 255, random.randrange(256)))
        if random.random() < 0.1:
            del data[random.randrange(len(data)) :]
        for start, end in ((0.3, 0.0), (0.0, 0.5), (0.2, 0.8)):
            try:
                cut(bytes(data), start, end, random.random() < 0.5)
            except (BadFile, WholeFile):
                pass


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (b"start=1.5", (1500, 0)),
        (b"start=1&end=2.25", (1000, 1250)),
        (b"end=.5", (0, 500)),
        (b"start=1.23456789012345678901234567890", (1234, 0)),
        (b"start=2&end=1", (2000, 0)),
        (b"start=x&end=1", (0, 1000)),
        (b"start=1.2.3", None),
        (b"start=&end=0", None),
        (b"start=99999999999999999999", None),
        (b"other=1", None),
    ],
)
def test_arguments(args: bytes, expected: tuple[int, int] | None) -> None:
    assert asked(args) == expected


def test_milliseconds() -> None:
    assert [milliseconds(text) for text in (None, b"0", b"1.2", b"007", b"-1", b"1e3")] == [-1, 0, 1200, 7000, -1, -1]


CONF = """
events {}
http {
    types { video/mp4 mp4; video/x-flv flv; }
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location / { mp4; }
        location /small/ { alias %DIR%/; mp4; mp4_buffer_size 100; mp4_max_buffer_size 200; }
        location ~ flv$ { flv; }
    }
}
"""


@pytest.mark.live
def test_served(server: Any) -> None:
    data = video()
    s = server(CONF, files={"a.mp4": data, "bad.mp4": data[:200], "empty.mp4": b"", "d/x": b""})
    answer = s.get("/a.mp4")
    assert (answer.body, answer["Content-Type"], answer["Accept-Ranges"]) == (data, "video/mp4", "bytes")
    answer = s.get("/a.mp4?start=0.5&end=1")
    assert answer.body == cut(data, 0.5, 1)
    assert s.get("/a.mp4?start=0.5&end=1", {"Range": "bytes=10-19"}).body == answer.body[10:20]
    assert s.get("/a.mp4?start=0.5&end=1", {"Range": "bytes=1-2,4-5"}).status == 200
    with s.connect() as c:
        assert c.ask("/a.mp4?start=1", "HEAD")["Content-Length"] == str(len(cut(data, 1)))
        assert c.ask("/a.mp4", "POST", body=b"x").status == 405
        assert c.ask("/d").status == 301
        assert c.ask("/a.mp4?start=9").status == 500
    assert s.get("/missing.mp4").status == 404
    assert s.get("/empty.mp4").status == 200
    assert s.get("/empty.mp4?start=1").status == 500
    assert s.get("/bad.mp4?start=1").status == 500
    assert s.get("/small/a.mp4?start=1").status == 500
    log = s.log()
    assert f'"{s.folder}/a.mp4" mp4 start time exceeds file duration, client' in log
    assert "you may want to increase mp4_max_buffer_size, client" in log


@pytest.mark.live
def test_flv(server: Any) -> None:
    data = bytes(range(256))
    s = server(CONF, files={"a.flv": data, "empty.flv": b""})
    header = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"
    assert s.get("/a.flv").body == data
    answer = s.get("/a.flv?start=100")
    assert (answer.body, answer["Content-Type"]) == (header + data[100:], "video/x-flv")
    for args in ("start=0", "start=256", "start=-1", "start=x", "start=", "other=1"):
        assert s.get(f"/a.flv?{args}").body == data, args
    assert s.get("/a.flv?start=100", {"Range": "bytes=0-20"}).body == (header + data[100:])[:21]
    assert s.get("/empty.flv?start=1").body == b""
    assert s.get("/missing.flv").status == 404
    assert s.get("/a.flv", method="DELETE").status == 405
