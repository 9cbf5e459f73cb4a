"""A part of an MP4 file, from one second to another, as a file of its own.

nginx: ngx_http_mp4_module.c.   ISO/IEC 14496-12

Top level: ftyp, moov, mdat. Inside moov: mvhd and the traks. What is not known here is left out of what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import pack, unpack_from

from geng.core.mp4_track import MAX_32, MAX_64, BadFile, SkipTrack, Track, Wanted, atom, put

MAX_OFFSET = (1 << 63) - 1
LONGEST_FTYP = 1024

Read = Callable[[int, int], bytes]
"""read(length, offset) -> bytes, fewer where the file ends."""


class WholeFile(Exception):
    """The file is to be sent as it is."""


class Mp4:
    """One file being cut. cut() leaves the beginning of the part in `head`; the bytes start..end of the file follow."""

    def __init__(self, name: str, size: int, read: Read, wanted: Wanted) -> None:
        self.name = name
        self.size = size
        self.read = read
        self.wanted = wanted
        self.timescale = 0
        self.ftyp = b""
        self.mvhd = b""
        self.tracks: list[Track] = []
        self.has_moov = False
        self.mdat_end = -1
        self.moov = b""  # what is being parsed
        self.head: list[bytes] = []
        self.start = self.end = 0

    def __repr__(self) -> str:
        return f"<Mp4 {self.name} {len(self.tracks)} tracks>"

    @property
    def length(self) -> int:
        """Bytes of the part."""
        return sum(map(len, self.head)) + self.end - self.start

    def cut(self) -> None:
        """Raises BadFile, WholeFile."""
        self._read_top()
        if not self.tracks:
            raise BadFile(f'no mp4 trak atoms were found in "{self.name}"')
        if self.mdat_end < 0:
            raise BadFile(f'no mp4 mdat atom was found in "{self.name}"')
        start, end = self.size, 0
        for track in self.tracks:
            track.cut()
            start, end = min(start, track.start_offset), max(end, track.end_offset)
        if end <= start:
            raise BadFile(f'no data between start time and end time in "{self.name}"')
        if start >= self.mdat_end:
            raise BadFile(f'start time is out mp4 mdat atom in "{self.name}"')
        self.start, self.end = start, end
        self._put_together(end - start)

    def _put_together(self, size: int) -> None:
        """Chunk offsets depend on how long what stands before them is, which does not depend on them."""
        mdat = pack(">I4s", size + 8, b"mdat") if size + 8 <= MAX_32 else pack(">I4sQ", 1, b"mdat", size + 16)
        moov = atom(b"moov", self.mvhd, *(track.made(0) for track in self.tracks))
        adjustment = len(self.ftyp) + len(moov) + len(mdat) - self.start
        moov = atom(b"moov", self.mvhd, *(track.made(adjustment) for track in self.tracks))
        self.head = [part for part in (self.ftyp, moov, mdat) if part]

    # ---- reading

    def _get(self, length: int, offset: int) -> bytes:
        if self.size - offset < length:
            raise BadFile(f'"{self.name}" mp4 file truncated')
        data = self.read(length, offset)
        if len(data) != length:
            raise BadFile(f'pread() read only {len(data)} of {length} from "{self.name}"', "crit")
        return data

    def _header(self, peek: Read, offset: int, end: int) -> tuple[bytes, int, int]:
        """(name, bytes of the header, bytes of the atom) of the atom at *offset*; of no bytes where the list ends."""
        size = unpack_from(">I", peek(4, offset))[0]
        header = 8
        if size == 0:
            return b"", 0, 0
        if size == 1:
            size = unpack_from(">Q", peek(16, offset), 8)[0]
            header = 16
        if size < header:
            raise BadFile(f'"{self.name}" mp4 atom is too small:{size}')
        name = peek(8, offset)[4:]
        if size > MAX_OFFSET - offset or offset + size > end:
            raise BadFile(f'"{self.name}" mp4 atom too large:{size}')
        return name, header, size

    def _read_top(self) -> None:
        offset = 0
        while offset < self.size:
            name, header, size = self._header(self._get, offset, self.size)
            if size == 0:
                return
            inside = size - header
            if name == b"ftyp":
                self._read_ftyp(offset + header, inside)
            elif name == b"moov":
                no_mdat = self.mdat_end < 0
                self._read_moov(offset + header, inside, no_mdat)
                if not no_mdat:
                    return
            elif name == b"mdat":
                if self.mdat_end >= 0:
                    raise self.duplicate("mdat")
                self.mdat_end = offset + size
                if self.tracks:
                    return
            offset += size

    def _read_ftyp(self, offset: int, size: int) -> None:
        if size > LONGEST_FTYP:
            raise BadFile(f'"{self.name}" mp4 ftyp atom is too large:{size}')
        if self.ftyp:
            raise self.duplicate("ftyp")
        self.ftyp = atom(b"ftyp", self._get(size, offset) if size else b"")

    def _read_moov(self, offset: int, size: int, no_mdat: bool) -> None:
        wanted = self.wanted
        if no_mdat and wanted.start == 0 and wanted.length == 0:
            raise WholeFile
        if self.has_moov:
            raise self.duplicate("moov")
        self.has_moov = True
        if size > wanted.buffer and size > wanted.max_buffer:
            raise BadFile(f'"{self.name}" mp4 moov atom is too large:{size}, you may want to increase mp4_max_buffer_size')
        self.moov = self._get(size, offset) if size else b""
        self.walk(0, size, {b"mvhd": self._mvhd, b"trak": self._trak, b"cmov": self._cmov})
        self.moov = b""

    def _peek(self, length: int, offset: int) -> bytes:
        data = self.moov[offset : offset + length]
        if len(data) < length:
            raise BadFile(f'"{self.name}" mp4 file truncated')
        return data

    def walk(self, offset: int, end: int, handlers: Mapping[bytes, Callable[[int, int], None]]) -> None:
        """Call the handler of each atom of moov between *offset* and *end* with where its content begins and ends."""
        while offset < end:
            name, header, size = self._header(self._peek, offset, end)
            if size == 0:
                return
            handler = handlers.get(name)
            if handler is not None:
                handler(offset + header, offset + size)
            offset += size

    def _mvhd(self, start: int, end: int) -> None:
        if self.mvhd:
            raise self.duplicate("mvhd")
        data = bytearray(self.moov[start:end])
        timescale, duration, put = self.clock_of(data, "mvhd", (100, 112), 12)
        self.timescale = timescale
        left = self.wanted.shorten(duration, timescale)
        if left < 0:
            raise BadFile(f'"{self.name}" mp4 start time exceeds file duration')
        put(left)
        self.mvhd = atom(b"mvhd", data)

    def clock_of(
        self, data: bytearray, name: str, least: tuple[int, int], at: int
    ) -> tuple[int, int, Callable[[int], None]]:
        """(timescale, duration, how to write the duration) of an mvhd or mdhd, of version 0 or 1."""
        self.need(len(data), least[0], name)
        if data[0] == 0:
            timescale, duration = unpack_from(">II", data, at)
            return timescale, duration, lambda n: put(data, ">I", at + 4, n & MAX_32)
        self.need(len(data), least[1], name)
        timescale, duration = unpack_from(">IQ", data, at + 8)
        return timescale, duration, lambda n: put(data, ">Q", at + 12, n & MAX_64)

    def _trak(self, start: int, end: int) -> None:
        track = Track(self)
        try:
            self.walk(start, end, {b"tkhd": track.read_tkhd, b"mdia": track.read_mdia})
        except SkipTrack:
            return
        self.tracks.append(track)

    def _cmov(self, start: int, end: int) -> None:
        raise BadFile(f'"{self.name}" mp4 compressed moov atom (cmov) is not supported')

    # ---- what is wrong

    def duplicate(self, name: str) -> BadFile:
        return BadFile(f'duplicate mp4 {name} atom in "{self.name}"')

    def need(self, size: int, least: int, name: str) -> None:
        if size < least:
            raise BadFile(f'"{self.name}" mp4 {name} atom too small')
