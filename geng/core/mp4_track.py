"""One track of an MP4 file: its tables of samples, cut to a part of the time that they are about.

nginx: ngx_http_mp4_module.c.   ISO/IEC 14496-12

The tables say how long each sample lasts (stts), which are key frames (stss), when they are shown (ctts), which chunk they
are in (stsc), how large they are (stsz), and where the chunks are (stco, co64). Everything is big-endian.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Mapping
from struct import pack, unpack_from
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geng.core.mp4 import Mp4

MAX_32 = (1 << 32) - 1
MAX_64 = (1 << 64) - 1

#: Of each table: the size of its numbers (`I`: 32, `Q`: 64 bits), and how many make an entry.
TABLES = {"stts": ("I", 2), "stss": ("I", 1), "ctts": ("I", 2), "stsc": ("I", 3), "stco": ("I", 1), "co64": ("Q", 1)}


class BadFile(Exception):
    """The file cannot be cut; its text is what the log gets, at *level*."""

    def __init__(self, message: str, level: str = "error") -> None:
        super().__init__(message)
        self.level = level


class SkipTrack(Exception):
    """A track that has nothing in the part that is wanted."""


class Wanted:
    """What a request asks for. start, length: ms, length 0 to the end; key_frame: begin at the one before start.

    buffer, max_buffer: how large a moov may be (mp4_buffer_size, mp4_max_buffer_size).
    """

    __slots__ = ("buffer", "key_frame", "length", "max_buffer", "start")

    def __init__(self, start: int, length: int, key_frame: bool, buffer: int, max_buffer: int) -> None:
        self.start = start
        self.length = length
        self.key_frame = key_frame
        self.buffer = buffer
        self.max_buffer = max_buffer

    def span(self, timescale: int) -> tuple[int, int]:
        """(start, length) in *timescale* units a second."""
        return self.start * timescale // 1000, self.length * timescale // 1000

    def shorten(self, duration: int, timescale: int) -> int:
        """What is left of *duration*; negative where it ends before the start."""
        start, length = self.span(timescale)
        duration -= start
        return min(duration, length) if self.length else duration


def atom(name: bytes, *parts: bytes | bytearray) -> bytes:
    """An atom with *parts* in it."""
    content = b"".join(parts)
    return pack(">I4s", len(content) + 8, name) + content


def table(code: str, data: bytes) -> array[int]:
    """The integers in *data*: code `I` of 32, `Q` of 64 bits."""
    made = array(code, data)
    if sys.byteorder == "little":
        made.byteswap()
    return made


def to_bytes(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def crop_runs(counts: array[int], sample: int) -> tuple[int, int]:
    """In runs of *counts* samples: (which run *sample*, from 0, is in, how far inside it); the number of runs if none."""
    for n, count in enumerate(counts):
        if sample < count:
            return n, sample
        sample -= count
    return len(counts), 0


def put(data: bytearray, code: str, at: int, number: int) -> None:
    """Write *number* into *data*."""
    packed = pack(code, number)
    data[at : at + len(packed)] = packed


class Track:
    """One trak: its headers as they are, its tables as they will be."""

    def __init__(self, mp4: Mp4) -> None:
        self.mp4 = mp4
        self.wanted = mp4.wanted
        self.kept: dict[bytes, bytes] = {}  # atoms that are sent as they are
        self.tables: dict[bytes, tuple[bytes, array[int]]] = {}  # name -> (what stands before the numbers, they)
        self.containers: set[bytes] = set()
        self.mdhd = bytearray()
        self.put_duration: Callable[[int], None] = lambda n: None
        self.timescale = self.duration = self.movie_duration = 0
        self.prefix = 0  # time between the key frame that the part begins with and its start
        self.start_sample = self.end_sample = 0
        self.start_chunk = self.end_chunk = 0
        self.start_chunk_samples = self.end_chunk_samples = 0  # of the first and last chunk: before start, before end
        self.start_chunk_size = self.end_chunk_size = 0  # and how many bytes these are
        self.first_run: tuple[int, int, int] | None = None  # of stsc: the rest of the first chunk,
        self.last_run: tuple[int, int, int] | None = None  # and the beginning of the last
        self.start_offset = self.end_offset = 0

    def __repr__(self) -> str:
        return f"<Track samples {self.start_sample}-{self.end_sample} chunks {self.start_chunk}-{self.end_chunk}>"

    # ---- reading

    def read_tkhd(self, start: int, end: int) -> None:
        mp4 = self.mp4
        data = bytearray(mp4.moov[start:end])
        mp4.need(len(data), 84, "tkhd")
        long = data[0] != 0
        if long:
            mp4.need(len(data), 96, "tkhd")
        code, at = (">Q", 28) if long else (">I", 20)
        self.movie_duration = self._shorten(unpack_from(code, data, at)[0], mp4.timescale)
        if b"tkhd" in self.kept:
            raise mp4.duplicate("tkhd")
        put(data, code, at, self.movie_duration)
        self.kept[b"tkhd"] = atom(b"tkhd", data)

    def _shorten(self, duration: int, timescale: int) -> int:
        left = self.wanted.shorten(duration, timescale)
        if duration <= self.wanted.span(timescale)[0]:
            raise SkipTrack
        return left

    def read_mdia(self, start: int, end: int) -> None:
        self._enter("mdia", start, end, {b"mdhd": self._mdhd, b"hdlr": self._keep("hdlr"), b"minf": self._minf})

    def _minf(self, start: int, end: int) -> None:
        inside = {b"vmhd": self._media_header("vmhd"), b"smhd": self._media_header("smhd")}
        self._enter("minf", start, end, {**inside, b"dinf": self._keep("dinf"), b"stbl": self._stbl})

    def _stbl(self, start: int, end: int) -> None:
        tables = {name.encode(): self._table(name, *shape) for name, shape in TABLES.items()}
        self._enter("stbl", start, end, {**tables, b"stsd": self._stsd, b"stsz": self._stsz})

    def _enter(self, name: str, start: int, end: int, handlers: Mapping[bytes, Callable[[int, int], None]]) -> None:
        if name.encode() in self.containers:
            raise self.mp4.duplicate(name)
        self.containers.add(name.encode())
        self.mp4.walk(start, end, handlers)

    def _keep(self, name: str) -> Callable[[int, int], None]:
        def keep(start: int, end: int) -> None:
            if name.encode() in self.kept:
                raise self.mp4.duplicate(name)
            self.kept[name.encode()] = atom(name.encode(), self.mp4.moov[start:end])

        return keep

    def _media_header(self, name: str) -> Callable[[int, int], None]:
        def keep(start: int, end: int) -> None:
            if b"vmhd" in self.kept or b"smhd" in self.kept:
                raise self.mp4.duplicate("vmhd/smhd")
            self.kept[name.encode()] = atom(name.encode(), self.mp4.moov[start:end])

        return keep

    def _mdhd(self, start: int, end: int) -> None:
        mp4 = self.mp4
        data = bytearray(mp4.moov[start:end])
        timescale, duration, put = mp4.clock_of(data, "mdhd", (24, 36), 12)
        left = self._shorten(duration, timescale)
        if self.mdhd:
            raise mp4.duplicate("mdhd")
        self.mdhd, self.timescale, self.duration, self.put_duration = data, timescale, left, put

    def _stsd(self, start: int, end: int) -> None:
        self.mp4.need(end - start, 16, "stsd")
        self._keep("stsd")(start, end)

    def _table(self, name: str, code: str, each: int) -> Callable[[int, int], None]:
        """Reads a table of so many entries, each of *each* numbers."""
        size = each * (8 if code == "Q" else 4)

        def read(start: int, end: int) -> None:
            mp4 = self.mp4
            mp4.need(end - start, 8, name)
            entries = unpack_from(">I", mp4.moov, start + 4)[0]
            mp4.need(end - start, 8 + entries * size, name)
            key = name.encode()
            if key in (b"stco", b"co64"):
                if b"stco" in self.tables or b"co64" in self.tables:
                    raise mp4.duplicate("stco/co64")
            elif key in self.tables:
                raise mp4.duplicate(name)
            numbers = table(code, mp4.moov[start + 8 : start + 8 + entries * size])
            self.tables[key] = mp4.moov[start : start + 4], numbers

        return read

    def _stsz(self, start: int, end: int) -> None:
        mp4 = self.mp4
        mp4.need(end - start, 12, "stsz")
        each, entries = unpack_from(">II", mp4.moov, start + 4)
        if b"stsz" in self.tables or b"stsz" in self.kept:
            raise mp4.duplicate("stsz")
        if each:  # all are of one size
            self.kept[b"stsz"] = atom(b"stsz", mp4.moov[start : start + 12])
            return
        mp4.need(end - start, 12 + entries * 4, "stsz")
        self.tables[b"stsz"] = mp4.moov[start : start + 8], table("I", mp4.moov[start + 12 : start + 12 + entries * 4])

    # ---- cutting

    def cut(self) -> None:
        """Cut all tables; raises BadFile."""
        self._cut_stts()
        self._cut_stss()
        self._cut_ctts()
        self._cut_stsc()
        self._cut_stsz()
        self._cut_chunks()
        if self.mdhd:
            self.put_duration(self.duration)

    def _get(self, name: bytes) -> array[int]:
        if name not in self.tables:
            raise BadFile(f'no mp4 {name.decode()} atoms were found in "{self.mp4.name}"')
        return self.tables[name][1]

    def _set(self, name: bytes, numbers: array[int]) -> None:
        self.tables[name] = self.tables[name][0], numbers

    def _cut_stts(self) -> None:
        """From times to samples: where the part begins and ends."""
        runs = self._get(b"stts")
        counts, durations = runs[0::2], runs[1::2]
        start, length = self.wanted.span(self.timescale)
        at, sample, rest = self._sample_at(counts, durations, start)
        if at == len(counts):
            raise BadFile(f'start time is out mp4 stts samples in "{self.mp4.name}"')
        back = self._to_key_frame(sample)
        sample -= back
        duration = durations[at]
        while rest < back:
            self.prefix += rest * duration
            back -= rest
            at -= 1
            rest, duration = counts[at], durations[at]
        self.prefix += back * duration
        self.duration += self.prefix
        counts[at] -= rest - back
        counts, durations = counts[at:], durations[at:]
        self.start_sample = sample
        if self.wanted.length:
            at, sample, rest = self._sample_at(counts, durations, length + self.prefix)
            if at < len(counts):
                counts, durations = counts[: at + 1], durations[: at + 1]
                counts[at] = rest
            self.end_sample = self.start_sample + sample
        joined = array("I", bytes(8 * len(counts)))
        joined[0::2], joined[1::2] = counts, durations
        self._set(b"stts", joined)

    def _sample_at(self, counts: array[int], durations: array[int], time: int) -> tuple[int, int, int]:
        """(run, sample from the beginning, sample of that run) at *time*; the number of runs where there is none."""
        sample = 0
        for n, (count, duration) in enumerate(zip(counts, durations, strict=True)):
            if time < count * duration:
                rest = time // duration
                return n, sample + rest, rest
            sample += count
            time -= count * duration
        return len(counts), sample, 0

    def _to_key_frame(self, sample: int) -> int:
        """How many samples before *sample* the next key frame is."""
        back = 0
        if self.wanted.key_frame and b"stss" in self.tables:
            for frame in self.tables[b"stss"][1]:
                if frame == 0:
                    raise BadFile(f'zero sync sample in "{self.mp4.name}"')
                if frame > sample + 1:
                    break
                back = sample + 1 - frame
        return back

    def _cut_stss(self) -> None:
        if b"stss" not in self.tables:
            return
        frames = self.tables[b"stss"][1]
        start = self.start_sample
        first = next((n for n, frame in enumerate(frames) if frame > start), len(frames))
        frames = frames[first:]
        if self.wanted.length:
            end = self.end_sample
            frames = frames[: next((n for n, frame in enumerate(frames) if frame > end), len(frames))]
        self._set(b"stss", array("I", [frame - start & MAX_32 for frame in frames]))

    def _cut_ctts(self) -> None:
        if b"ctts" not in self.tables:
            return
        runs = self.tables[b"ctts"][1]
        counts, offsets = runs[0::2], runs[1::2]
        at, rest = crop_runs(counts, self.start_sample)
        counts, offsets = counts[at:], offsets[at:]
        if counts:
            counts[0] -= rest
            if self.wanted.length:
                at, rest = crop_runs(counts, self.end_sample - self.start_sample)
                if at < len(counts):
                    counts, offsets = counts[: at + 1], offsets[: at + 1]
                    counts[at] = rest
        if not counts:
            del self.tables[b"ctts"]
            return
        joined = array("I", bytes(8 * len(counts)))
        joined[0::2], joined[1::2] = counts, offsets
        self._set(b"ctts", joined)

    def _cut_stsc(self) -> None:
        """From samples to chunks: where the part begins and ends."""
        numbers = self._get(b"stsc")
        if not numbers:
            raise BadFile(f'zero number of entries in stsc atom in "{self.mp4.name}"')
        runs = [list(run) for run in zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True)]
        runs = self._stsc_start(runs)
        if self.wanted.length:
            runs = self._stsc_end(runs)
        start = self.start_chunk
        made = [(chunk - start, samples, kind) for chunk, samples, kind in runs]
        made = [run for run in (self.first_run, *made, self.last_run) if run is not None]
        self._set(b"stsc", array("I", [number & MAX_32 for run in made for number in run]))

    def _find_run(self, runs: list[list[int]], sample: int, what: str) -> tuple[int, int, int, int]:
        """(the run that *sample* is in, sample of it, first chunk of the next run, samples a chunk of the one before)."""
        name = self.mp4.name
        chunk, samples, _ = runs[0]
        before = at = 0
        for following in (*(run[0] for run in runs[1:]), self._chunks() + 1):
            if following < chunk:
                raise BadFile(f'unordered mp4 stsc chunks in "{name}"')
            held = (following - chunk) * samples
            last = at == len(runs) - 1
            if sample < held or last:
                break
            sample -= held
            if following > chunk:
                before = samples
            at += 1
            chunk, samples, _ = runs[at]
        if last and sample > held:
            raise BadFile(f'{what} time is out mp4 stsc chunks in "{name}"')
        if samples == 0:
            raise BadFile(f'zero number of samples in "{name}"')
        if chunk == 0:
            raise BadFile(f'zero chunk in "{name}"')
        return at, sample, following, before

    def _chunks(self) -> int:
        found = self.tables.get(b"co64") or self.tables.get(b"stco")
        return len(found[1]) if found is not None else 0

    def _stsc_start(self, runs: list[list[int]]) -> list[list[int]]:
        at, sample, following, _ = self._find_run(runs, self.start_sample, "start")
        runs = runs[at:]
        run = runs[0]
        chunk, samples, kind = run
        target = chunk - 1 + sample // samples
        inside = sample % samples
        self.start_chunk, self.start_chunk_samples = target, inside
        run[0] = target + 1
        if inside and following - target == 2:  # it is the last chunk of the run
            run[1] = samples - inside
        elif inside:
            self.first_run = (1, samples - inside, kind)
            run[0] = target + 2
        return runs

    def _stsc_end(self, runs: list[list[int]]) -> list[list[int]]:
        sample = self.end_sample - self.start_sample
        if self.first_run is not None:
            number, samples, kind = self.first_run
            samples = min(samples, sample)
            self.first_run = (number, samples, kind)
            sample -= samples
        at, sample, _, before = self._find_run(runs, sample, "end")
        run = runs[at]
        chunk, samples, kind = run
        target = chunk - 1 + sample // samples
        inside = sample % samples
        if sample:
            runs = runs[: at + 1]
            self.end_chunk_samples = samples
        else:
            runs = runs[:at]
            self.end_chunk_samples = before
        self.end_chunk = target
        if inside:
            self.end_chunk, self.end_chunk_samples = target + 1, inside
            if target == chunk - 1:  # it is the first chunk of the run
                run[1] = inside
            else:
                self.last_run = (self.end_chunk - self.start_chunk, inside, kind)
        return runs

    def _cut_stsz(self) -> None:
        if b"stsz" not in self.tables:
            return
        sizes = self.tables[b"stsz"][1]
        name, start = self.mp4.name, self.start_sample
        if start >= len(sizes):
            raise BadFile(f'start time is out mp4 stsz samples in "{name}"')
        self.start_chunk_size = sum(sizes[max(start - self.start_chunk_samples, 0) : start])
        if self.start_chunk_size > self.mp4.size:
            raise BadFile(f'too large mp4 start samples size in "{name}"')
        if not self.wanted.length:
            self._set(b"stsz", sizes[start:])
            return
        end = self.end_sample
        if end > len(sizes):
            raise BadFile(f'end time is out mp4 stsz samples in "{name}"')
        self.end_chunk_size = sum(sizes[max(end - self.end_chunk_samples, 0) : end])
        if self.end_chunk_size > self.mp4.size:
            raise BadFile(f'too large mp4 end samples size in "{name}"')
        self._set(b"stsz", sizes[start:end])

    def _cut_chunks(self) -> None:
        kind = b"co64" if b"co64" in self.tables else b"stco"
        offsets = self._get(kind)
        name = self.mp4.name
        if self.start_chunk >= len(offsets):
            raise BadFile(f'start time is out mp4 {kind.decode()} chunks in "{name}"')
        self.start_offset = self._offset(offsets[self.start_chunk], self.start_chunk_size, kind)
        if self.wanted.length:
            if self.end_chunk > len(offsets):
                raise BadFile(f'end time is out mp4 {kind.decode()} chunks in "{name}"')
            if self.end_chunk > self.start_chunk:
                offset = offsets[self.end_chunk - 1]
                if self.end_chunk - 1 == self.start_chunk:
                    offset = self.start_offset
                self.end_offset = self._offset(offset, self.end_chunk_size, kind)
            offsets = offsets[self.start_chunk : self.end_chunk]
        else:
            offsets = offsets[self.start_chunk :]
            self.end_offset = self.mp4.mdat_end
        if offsets:
            offsets[0] = self.start_offset
        else:
            self.start_offset, self.end_offset = self.mp4.size, 0
        self._set(kind, offsets)

    def _offset(self, chunk: int, size: int, kind: bytes) -> int:
        """*size* bytes from where *chunk* begins."""
        if chunk > self.mp4.size - size or (kind == b"stco" and chunk + size > MAX_32):
            raise BadFile(f'too large chunk offset in "{self.mp4.name}"')
        return chunk + size

    # ---- writing

    def made(self, adjustment: int) -> bytes:
        """The trak atom, with chunks moved by *adjustment*."""
        kept = self.kept
        stbl = [kept.get(b"stsd", b"")]
        for name in (b"stts", b"stss", b"ctts", b"stsc", b"stsz", b"stco", b"co64"):
            if name in self.tables:
                stbl.append(self._made_table(name, adjustment))
            elif name == b"stsz":
                stbl.append(kept.get(name, b""))
        headers = [kept.get(name, b"") for name in (b"vmhd", b"smhd", b"dinf")]
        minf = atom(b"minf", *headers, atom(b"stbl", *stbl))
        mdhd = atom(b"mdhd", self.mdhd) if self.mdhd else b""
        mdia = atom(b"mdia", mdhd, kept.get(b"hdlr", b""), minf)
        return atom(b"trak", kept.get(b"tkhd", b""), self._edits(), mdia)

    def _made_table(self, name: bytes, adjustment: int) -> bytes:
        before, numbers = self.tables[name]
        entries = len(numbers)
        if name in (b"stts", b"ctts"):
            entries //= 2
        elif name == b"stsc":
            entries //= 3
        elif name in (b"stco", b"co64"):
            most = MAX_32 if name == b"stco" else MAX_64
            numbers = array(numbers.typecode, [offset + adjustment & most for offset in numbers])
        return atom(name, before, pack(">I", entries), to_bytes(numbers))

    def _edits(self) -> bytes:
        """What makes players begin after the key frame, where the part was asked to."""
        if not self.prefix:
            return b""
        return atom(b"edts", atom(b"elst", pack(">IIQQHH", 1 << 24, 1, self.movie_duration, self.prefix & MAX_64, 1, 0)))
