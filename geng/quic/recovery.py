"""Round trip times, acknowledgments that come, loss detection.   nginx: ngx_event_quic_ack.c; RFC 9002"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.core.clock import msec
from geng.hot.connection import NEVER, Timer
from geng.quic import frames, output, paths
from geng.quic.congestion import Congestion
from geng.quic.frames import APPLICATION, HANDSHAKE, INITIAL
from geng.quic.space import ACK_GAP, Space
from geng.quic.stream import Send

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection

INITIAL_RTT = 333
GRANULARITY = 1
PACKET_THRESHOLD = 3
PERSISTENT_THRESHOLD = 3


class Recovery:
    """What one connection knows of its path's times, and its three spaces."""

    def __init__(self, c: QuicConnection) -> None:
        now = msec()
        self.c = c
        self.spaces = {INITIAL: Space(INITIAL), HANDSHAKE: Space(HANDSHAKE), APPLICATION: Space(APPLICATION)}
        self.congestion = Congestion(now)
        self.reset_number = 0  # packets before this one were sent on another path
        self.pto_count = 0
        self.timer = Timer(self._expired)
        self.lost_expected = False  # the timer is about a loss, not a probe
        self.forget_times()

    def __repr__(self) -> str:
        return f"<Recovery rtt {self.avg_rtt} {self.congestion!r}>"

    def forget_times(self) -> None:
        """A new path: nothing is known of it."""
        self.avg_rtt = INITIAL_RTT
        self.rttvar = INITIAL_RTT // 2
        self.min_rtt = -1
        self.first_rtt = -1
        self.latest_rtt = 0

    def start_over(self) -> None:
        """A new path: forget the old one's times and window."""
        self.reset_number = self.spaces[APPLICATION].pnum
        self.congestion = Congestion(msec())
        self.forget_times()

    # ---- acknowledgments

    def acked(self, frame: frames.Ack, level: int) -> bool:
        """An ACK has come; False for one of packets that were not sent, which ends the connection."""
        space = self.spaces[level]
        oldest = newest = -1
        for first, last in frame.ranges:
            found, times = self._acked_range(space, first, last)
            if not found and last >= space.pnum:
                return False
            if times:
                oldest = min(times) if oldest < 0 else min(oldest, *times)
                newest = max(newest, *times)
            if last == frame.largest and space.largest_ack < last:
                space.largest_ack = last
                if found and self._largest_time >= 0:
                    self._sample(frame.delay, self._largest_time)
        self.detect_lost((oldest, newest))
        return True

    _largest_time = -1

    def _acked_range(self, space: Space, first: int, last: int) -> tuple[bool, list[int]]:
        c = self.c
        if space.level == APPLICATION:
            paths.acked(c, first, last)
        self._largest_time = -1
        times: list[int] = []
        sent = space.sent
        if not sent or sent[0].pn > last:
            return False, times
        keep = []
        while sent and sent[0].pn <= last:
            frame = sent.popleft()
            if frame.pn < first:
                keep.append(frame)
                continue
            self.frame_acked(frame)
            if frame.type == frames.Ack.type:
                space.drop_ranges(frame.largest)  # type: ignore[attr-defined]
            elif frame.type == frames.StreamFrame.type or frame.type == frames.ResetStream.type:
                stream = c.streams.get(frame.id)  # type: ignore[attr-defined]
                if stream is not None:
                    stream.take_ack(frame)
            if frame.pn == last:
                self._largest_time = frame.send_time
            times.append(frame.send_time)
        sent.extendleft(reversed(keep))
        if not times:
            return False, times
        if c.push.deadline == NEVER:
            c.post_push()
        self.pto_count = 0
        return True, times

    def frame_acked(self, frame: frames.Frame) -> None:
        """The packet that *frame* begins is no longer under way."""
        if frame.plen and frame.pn >= self.reset_number:
            now = msec()
            if self.congestion.recovery_start > now:
                self.congestion.recovery_start = self._oldest() - 1
            if self.congestion.acked(frame.plen, frame.send_time, now):
                self.c.post_push()

    def _sample(self, delay: int, send_time: int) -> None:
        """RFC 9002, 5"""
        now = msec()
        self.latest_rtt = latest = now - send_time
        if self.min_rtt < 0:
            self.min_rtt = self.avg_rtt = latest
            self.rttvar = latest // 2
            self.first_rtt = now
            return
        self.min_rtt = min(self.min_rtt, latest)
        client = self.c.client_params
        delay = (delay << client.ack_delay_exponent) // 1000
        if self.c.handshaked:
            delay = min(delay, client.max_ack_delay)
        adjusted = latest - delay if self.min_rtt + delay < latest else latest
        self.rttvar += (abs(self.avg_rtt - adjusted) >> 2) - (self.rttvar >> 2)
        self.avg_rtt += (adjusted >> 3) - (self.avg_rtt >> 3)

    # ---- losses

    def _time_threshold(self) -> int:
        longest = max(self.latest_rtt, self.avg_rtt)
        return max(longest + (longest >> 3), GRANULARITY)

    def _packet_threshold(self, space: Space) -> int:
        return max(PACKET_THRESHOLD, (space.pnum - space.sent[0].pn) // 2) if space.sent else PACKET_THRESHOLD

    def detect_lost(self, times: tuple[int, int] | None) -> None:
        """Send again what must be lost; *times*: when the packets were sent that an ACK has just named (-1 none)."""
        now, wait = msec(), self._time_threshold()
        lost: list[int] = []
        for space in self.spaces.values():
            if space.largest_ack < 0:
                continue
            gap = self._packet_threshold(space)
            while space.sent:
                first = space.sent[0]
                if first.pn > space.largest_ack:
                    break
                if first.send_time + wait > now and space.largest_ack - first.pn < gap:
                    break
                if self.first_rtt < 0 or first.send_time > self.first_rtt:
                    lost.append(first.send_time)
                self.resend(space)
        if times is not None and len(lost) >= 2 and (times[1] < min(lost) or times[0] > max(lost)):
            if max(lost) - min(lost) > self._persistent_duration():
                self.congestion.persistent(self.c.path.mtu, self._oldest())
        self.set_timer()

    def _persistent_duration(self) -> int:
        duration = self.avg_rtt + max(4 * self.rttvar, GRANULARITY) + self.c.client_params.max_ack_delay
        return int(duration * PERSISTENT_THRESHOLD)

    def _oldest(self) -> int:
        return min([msec(), *(space.sent[0].send_time for space in self.spaces.values() if space.sent)])

    def resend(self, space: Space) -> None:
        """The oldest packet of *space* is lost: send again what is still true of it.   nginx: ngx_quic_resend_frames"""
        c = self.c
        sent = space.sent
        first = sent[0]
        if first.plen and first.pn >= self.reset_number:
            size, first.plen = first.plen, 0
            if self.congestion.lost(size, first.send_time, msec(), c.path.mtu, first.ignore_loss):
                c.post_push()
        while sent and sent[0].pn == first.pn:
            frame = self._again(space, sent.popleft())
            if frame is not None:
                space.frames.append(frame)
        if not c.closing:
            c.post_push()

    def _again(self, space: Space, frame: frames.Frame) -> frames.Frame | None:
        """What to send in the place of the lost *frame*."""
        c = self.c
        kind = frame.type
        if kind == frames.Ack.type:
            if space.level == APPLICATION:
                space.send_ack = ACK_GAP
            return None
        if kind in _NOT_AGAIN:
            return None
        if isinstance(frame, frames.StreamFrame):
            stream = c.streams.get(frame.id)
            if stream is None or stream.send_state in (Send.RESET_SENT, Send.RESET_RECVD):
                return None
        elif kind == frames.MaxData.type:
            return c.fresh(frames.MaxData(c.recv_max_data))
        elif kind == frames.MaxStreamsBidi.type:
            return c.fresh(frames.MaxStreamsBidi(c.max_client_bidi))
        elif kind == frames.MaxStreamsUni.type:
            return c.fresh(frames.MaxStreamsUni(c.max_client_uni))
        elif kind == frames.MaxStreamData.type:
            stream = c.streams.get(frame.id)  # type: ignore[attr-defined]
            return None if stream is None else c.fresh(frames.MaxStreamData(stream.id, stream.recv_max))
        return frame

    # ---- the timer

    def pto(self, level: int) -> int:
        """RFC 9002, A.8"""
        duration = self.avg_rtt + max(4 * self.rttvar, GRANULARITY)
        if level == APPLICATION and self.c.handshaked:
            duration += self.c.client_params.max_ack_delay
        return duration

    def set_timer(self) -> None:
        """For the next loss, else for the next probe.   nginx: ngx_quic_set_lost_timer"""
        now = msec()
        lost = pto = -1
        for space in self.spaces.values():
            sent = space.sent
            if not sent:
                continue
            first = sent[0]
            if space.largest_ack >= 0 and first.pn <= space.largest_ack:
                wait = max(0, first.send_time + self._time_threshold() - now)
                if space.largest_ack - first.pn >= self._packet_threshold(space):
                    wait = 0
                lost = wait if lost < 0 else min(lost, wait)
            wait = max(0, sent[-1].send_time + (self.pto(space.level) << self.pto_count) - now)
            pto = wait if pto < 0 else min(pto, wait)
        self.lost_expected = lost >= 0
        wait = lost if lost >= 0 else pto
        if wait < 0:
            self.timer.deadline = NEVER
        else:
            self.c.after(self.timer, wait)

    def stop(self) -> None:
        self.timer.deadline = NEVER

    def _expired(self, _: object) -> None:
        if not self.c.closed:
            self.c.guarded(Recovery._go_on if self.lost_expected else Recovery._probe, self)

    def _go_on(self) -> None:
        self.detect_lost(None)

    def _probe(self) -> None:
        """Nothing has come back for long: ask for a sign of life.   nginx: ngx_quic_pto_handler"""
        c = self.c
        now = msec()
        for space in self.spaces.values():
            if not space.sent:
                continue
            last = space.sent[-1]
            if space.largest_ack >= 0 and last.pn <= space.largest_ack:
                continue
            if last.send_time + (self.pto(space.level) << self.pto_count) - now > 0:
                continue
            for _ in range(2):
                ping = frames.Ping()
                ping.level = space.level
                ping.ignore_congestion = True
                output.send_alone(c, ping, 0, c.path)
                if c.closed:
                    return
        self.pto_count += 1
        self.set_timer()


_NOT_AGAIN = {
    frames.Ping.type,
    frames.PathChallenge.type,
    frames.PathResponse.type,
    frames.ConnectionClose.type,
}
