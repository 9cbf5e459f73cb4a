"""MP4 files made sample by sample, for tests that cut them up again."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from struct import pack, unpack_from


def atom(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return pack(">I4s", len(content) + 8, name) + content


@dataclass
class Sample:
    """One sample: how long it lasts, when it is shown, whether it is a key frame, its bytes."""

    duration: int
    offset: int
    key: bool
    data: bytes


@dataclass
class Track:
    samples: list[Sample]
    chunks: list[int]  # samples in each
    timescale: int = 1000
    long: bool = False  # 64-bit times
    co64: bool = False
    with_ctts: bool = True
    with_stss: bool = True
    offsets: list[int] = field(default_factory=list)

    def durations(self) -> int:
        return sum(sample.duration for sample in self.samples)

    def runs(self) -> list[tuple[int, int]]:
        """(first chunk, samples a chunk)"""
        found: list[tuple[int, int]] = []
        for number, count in enumerate(self.chunks, 1):
            if not found or found[-1][1] != count:
                found.append((number, count))
        return found

    def stbl(self) -> bytes:
        samples = self.samples
        stts = [(len(list(group)), key) for key, group in groupby(sample.duration for sample in samples)]
        ctts = [(len(list(group)), key) for key, group in groupby(sample.offset for sample in samples)]
        keys = [number for number, sample in enumerate(samples, 1) if sample.key]
        code = ">Q" if self.co64 else ">I"
        parts = [
            atom(b"stsd", pack(">III4s", 0, 1, 16, b"fake"), bytes(8)),
            atom(b"stts", pack(">II", 0, len(stts)), *(pack(">II", *run) for run in stts)),
            atom(b"stsc", pack(">II", 0, len(self.runs())), *(pack(">III", *run, 1) for run in self.runs())),
            atom(b"stsz", pack(">III", 0, 0, len(samples)), *(pack(">I", len(sample.data)) for sample in samples)),
            atom(b"co64" if self.co64 else b"stco", pack(">II", 0, len(self.offsets)),
                 *(pack(code, offset) for offset in self.offsets)),
        ]  # fmt: skip
        if self.with_ctts:
            parts.insert(2, atom(b"ctts", pack(">II", 0, len(ctts)), *(pack(">II", *run) for run in ctts)))
        if self.with_stss:
            parts.insert(2, atom(b"stss", pack(">II", 0, len(keys)), *(pack(">I", key) for key in keys)))
        return atom(b"stbl", *parts, atom(b"sgpd", b"unknown"))

    def trak(self, movie_scale: int) -> bytes:
        length = self.durations()
        moved = length * movie_scale // self.timescale
        if self.long:
            tkhd = pack(">IQQIIQ", 1 << 24, 1, 2, 1, 0, moved) + bytes(60)
            mdhd = pack(">IQQIQHH", 1 << 24, 1, 2, self.timescale, length, 0, 0)
        else:
            tkhd = pack(">IIIIII", 0, 1, 2, 1, 0, moved) + bytes(60)
            mdhd = pack(">IIIIIHH", 0, 1, 2, self.timescale, length, 0, 0)
        minf = atom(b"minf", atom(b"vmhd", bytes(12)), atom(b"dinf", b"data"), self.stbl())
        return atom(
            b"trak", atom(b"tkhd", tkhd), atom(b"edts", b"old"),
            atom(b"mdia", atom(b"mdhd", mdhd), atom(b"hdlr", b"handler"), minf)
        )  # fmt: skip


def mp4(tracks: list[Track], moov_first: bool, movie_scale: int = 600, long: bool = False) -> bytes:
    """The whole file, chunks of the tracks in turns."""
    ftyp = atom(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
    duration = max(track.durations() * movie_scale // track.timescale for track in tracks)
    head = pack(">IQQIQ", 1 << 24, 1, 2, movie_scale, duration) if long else pack(">IIIII", 0, 1, 2, movie_scale, duration)
    mvhd = atom(b"mvhd", head, bytes(80))
    for track in tracks:
        track.offsets = [0] * len(track.chunks)

    def moov() -> bytes:
        return atom(b"moov", mvhd, atom(b"udta", b"text"), *(track.trak(movie_scale) for track in tracks))

    at = len(ftyp) + 8 + (len(moov()) if moov_first else 0)
    data = b""
    left = [iter(track.samples) for track in tracks]
    for number in range(max(len(track.chunks) for track in tracks)):
        for track, samples in zip(tracks, left, strict=True):
            if number < len(track.chunks):
                track.offsets[number] = at + len(data)
                data += b"".join(next(samples).data for _ in range(track.chunks[number]))
    mdat = atom(b"mdat", data)
    return ftyp + (moov() + mdat if moov_first else mdat + moov())


def anything(random: Random) -> bytes:
    """A file of no particular kind."""
    tracks = []
    for number in range(random.randint(1, 2)):
        chunks = [random.choice((1, 2, 2, 3, 5)) for _ in range(random.randint(1, 12))]
        durations = [random.choice((40, 40, 40, 100, 7)) for _ in range(5)]
        samples = [
            Sample(durations[n // 4 % 5], random.choice((0, 0, 80)), n % random.choice((1, 3, 5)) == 0,
                   bytes((65 + number * 32 + n % 26,)) * random.randint(1, 9))
            for n in range(sum(chunks))
        ]  # fmt: skip
        tracks.append(Track(samples, chunks, random.choice((1000, 500)), *(random.random() < 0.5 for _ in range(4))))
    return mp4(tracks, random.random() < 0.5, long=random.random() < 0.3)


# ---- taking them apart


def atoms(data: bytes, start: int = 0, end: int | None = None) -> dict[bytes, list[tuple[int, int]]]:
    """name -> where the content of each atom of that name is."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    at, end = start, len(data) if end is None else end
    while at < end:
        size, name = unpack_from(">I4s", data, at)
        assert 8 <= size <= end - at, (name, size, at, end)
        found.setdefault(name, []).append((at + 8, at + size))
        at += size
    return found


def samples_of(data: bytes) -> list[list[tuple[int, bytes]]]:
    """Of each track: (duration, bytes) of each sample, found by way of the tables."""
    top = atoms(data)
    mdat_start, mdat_end = top[b"mdat"][0]
    moov = atoms(data, *top[b"moov"][0])
    tracks = []
    for trak in moov[b"trak"]:
        mdia = atoms(data, *atoms(data, *trak)[b"mdia"][0])
        minf = atoms(data, *mdia[b"minf"][0])
        stbl = atoms(data, *minf[b"stbl"][0])

        def numbers(name: bytes, skip: int, code: str = "I", where: dict[bytes, list[tuple[int, int]]] = stbl) -> list[int]:
            start, end = where[name][0]
            size = 8 if code == "Q" else 4
            return list(unpack_from(f">{(end - start - skip) // size}{code}", data, start + skip))

        stts = numbers(b"stts", 8)
        durations = [d for count, d in zip(stts[0::2], stts[1::2], strict=True) for _ in range(count)]
        sizes = numbers(b"stsz", 12)
        offsets = numbers(b"co64", 8, "Q") if b"co64" in stbl else numbers(b"stco", 8)
        stsc = numbers(b"stsc", 8)
        firsts = [*stsc[0::3], len(offsets) + 1]
        counts = [stsc[3 * n + 1] for n in range(len(firsts) - 1) for _ in range(firsts[n + 1] - firsts[n])]
        assert len(counts) == len(offsets)
        assert sum(counts) == len(sizes) == len(durations), (counts, len(sizes), len(durations))
        found, n = [], 0
        for offset, count in zip(offsets, counts, strict=True):
            for _ in range(count):
                assert mdat_start <= offset <= offset + sizes[n] <= mdat_end
                found.append((durations[n], data[offset : offset + sizes[n]]))
                offset += sizes[n]
                n += 1
        tracks.append(found)
    return tracks
