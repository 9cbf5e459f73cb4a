"""How much may be under way: CUBIC.   nginx: ngx_event_quic_ack.c (ngx_quic_congestion_…); RFC 9002, 7; RFC 9438

Times are milliseconds, sizes bytes; nothing here looks at the clock.
"""

from __future__ import annotations

BETA, C = 7, 4  # tenths
INITIAL_MTU = 1200
INITIAL_WINDOW = min(10 * INITIAL_MTU, max(2 * INITIAL_MTU, 14720))
UNLIMITED = (1 << 63) - 1
FAR = 1_000_000


class Congestion:
    """The window, and what is in flight of it."""

    __slots__ = (
        "idle", "idle_start", "in_flight", "k", "mtu", "recovery_start", "ssthresh", "w_est", "w_max", "w_prior", "window",
    )  # fmt: skip

    def __init__(self, now: int) -> None:
        self.in_flight = 0
        self.window = INITIAL_WINDOW
        self.ssthresh = UNLIMITED
        self.mtu = INITIAL_MTU
        self.recovery_start = now - 1
        self.w_max = self.w_est = self.w_prior = 0
        self.k = self.idle_start = 0
        self.idle = False

    def __repr__(self) -> str:
        return f"<Congestion {self.in_flight} of {self.window}{' idle' if self.idle else ''}>"

    @property
    def blocked(self) -> bool:
        return self.in_flight >= self.window

    def acked(self, size: int, send_time: int, now: int) -> bool:
        """A packet of *size* sent at *send_time* has arrived. Whether sending may go on that could not before."""
        blocked = self.blocked
        self.in_flight -= size
        if send_time > self.recovery_start and not self.idle:
            if self.window < self.ssthresh:
                self.window += size  # slow start
            else:
                self._grow(size, now)
        return blocked and not self.blocked

    def _grow(self, size: int, now: int) -> None:
        """RFC 9438, 4.2"""
        cubic = self._cubic(now)
        if self.window < self.w_prior:
            self.w_est += self.mtu * size * 3 * (10 - BETA) // (10 + BETA) // self.window
        else:
            self.w_est += self.mtu * size // self.window
        if cubic < self.w_est:
            self.window = self.w_est
        elif cubic > self.window:
            if cubic >= self.window * 3 // 2:
                self.window += self.mtu // 2
            else:
                self.window += self.mtu * (cubic - self.window) // self.window

    def _cubic(self, now: int) -> int:
        """C * t^3 + w_max (RFC 9438, figure 1)"""
        self.set_idle(self.idle, now)
        t = now - self.k
        if t > FAR:
            return UNLIMITED
        if t < -FAR:
            return 0
        return max(0, int(t**3 / (10_000_000_000 // self.mtu // C)) + self.w_max)

    def set_idle(self, idle: bool, now: int) -> None:
        """Whether there was less to send than might have been (RFC 9438, 5.8)."""
        if self.window >= self.ssthresh:
            if self.idle:
                self.k += now - self.idle_start
            self.idle_start = now
        self.idle = idle

    def lost(self, size: int, send_time: int, now: int, mtu: int, ignore: bool) -> bool:
        """A packet is lost; *ignore*: that says nothing (a probe). Whether sending may go on that could not before."""
        blocked = self.blocked
        self.in_flight -= size
        if send_time > self.recovery_start and not ignore:
            self.mtu = mtu
            self.recovery_start = now
            self.w_prior = self.window
            self.w_max = self.window * (10 + BETA) // 20 if self.window < self.w_max else self.window
            self.ssthresh = self.in_flight * BETA // 10
            self.window = max(self.ssthresh, self.mtu * 2)
            self.w_est = self.window
            self.k = now + self._time_to_max()
            self.idle_start = now
        return blocked and not self.blocked

    def _time_to_max(self) -> int:
        """RFC 9438, figure 2"""
        if self.w_max <= self.window:
            return 0
        return round(((self.w_max - self.window) * (10_000_000_000 // self.mtu // C)) ** (1 / 3))

    def persistent(self, mtu: int, oldest: int) -> None:
        """All was lost for long (RFC 9002, 7.6); *oldest*: when the oldest packet under way was sent."""
        self.mtu = mtu
        self.recovery_start = oldest - 1
        self.window = mtu * 2
