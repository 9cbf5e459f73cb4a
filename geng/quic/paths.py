"""Where a connection's packets go: connection ids, paths, migration, and how large datagrams may be.

nginx: ngx_event_quic_migration.c, ngx_event_quic_connid.c, ngx_event_quic_socket.c; RFC 9000, sections 5.1, 8, 9, 14
"""

from __future__ import annotations

import os
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.hot.connection import NEVER
from geng.net import sockaddr as sa
from geng.quic import frames, output, tokens
from geng.quic.congestion import INITIAL_MTU
from geng.quic.errors import TransportError
from geng.quic.frames import APPLICATION

if TYPE_CHECKING:
    from geng.quic.connection import QuicConnection
    from geng.quic.packet import Packet

RETRIES = 3
MTU_DELAY = 100  # ms
MTU_PRECISION = 16
MOST_SERVER_IDS = 8
TEMPORARY = -1  # the sequence number of the id that the client made up


class State(IntEnum):
    """What is being found out about a path."""

    IDLE = 0
    VALIDATING = 1
    WAITING = 2  # to look how large datagrams may be
    MTUD = 3


class Tag(IntEnum):
    """What a path is for."""

    NONE = 0
    PROBE = 1
    ACTIVE = 2
    BACKUP = 3


class ClientId:
    """An id that the client listens to."""

    __slots__ = ("cid", "seqnum", "token", "used")

    def __init__(self, seqnum: int, cid: bytes, token: bytes = b"") -> None:
        self.seqnum, self.cid, self.token = seqnum, cid, token
        self.used = False

    def __repr__(self) -> str:
        return f"<ClientId {self.seqnum} {self.cid.hex()}{' used' if self.used else ''}>"


class ServerId:
    """An id that we listen to; what a listening socket finds the connection by.   nginx: ngx_quic_socket_t"""

    __slots__ = ("cid", "connection", "key", "seqnum", "used")

    def __init__(self, connection: QuicConnection, seqnum: int, cid: bytes) -> None:
        self.connection = connection
        self.seqnum = seqnum
        self.cid = cid
        self.key = (cid, connection.local)
        self.used = False

    def __repr__(self) -> str:
        return f"<ServerId {self.seqnum} {self.cid.hex()}>"


class Path:
    """An address of the client's."""

    __slots__ = (
        "addr_text", "challenges", "cid", "expires", "max_mtu", "mtu", "mtu_numbers", "mtu_unvalidated", "mtud", "received",
        "sent", "seqnum", "sockaddr", "state", "tag", "tries", "validated",
    )  # fmt: skip

    def __init__(self, seqnum: int, sockaddr: Any, cid: ClientId) -> None:
        self.seqnum = seqnum
        self.sockaddr = sockaddr
        self.addr_text = sa.text(sockaddr)
        self.cid = cid
        cid.used = True
        self.state = State.IDLE
        self.tag = Tag.NONE
        self.expires = self.tries = 0
        self.mtu = INITIAL_MTU
        self.mtud = self.max_mtu = 0
        self.mtu_numbers: list[int] = []
        self.sent = self.received = 0
        self.challenges: tuple[bytes, ...] = ()
        self.validated = self.mtu_unvalidated = False

    def __repr__(self) -> str:
        return f"<Path {self.seqnum} {self.addr_text} {self.tag.name} {self.state.name} mtu {self.mtu}>"

    def limit(self, size: int) -> int:
        """How many of *size* bytes may be sent: three times what came, before the address is validated."""
        return size if self.validated else max(0, min(size, self.received * 3 - self.sent))


# ---- our ids


def open_ids(c: QuicConnection, packet: Packet) -> None:
    """The first packet: a connection has an id of its own, and for a while the one that the client made up.

    nginx: ngx_quic_open_sockets
    """
    c.params.original_dcid = packet.odcid
    own = _new_id(c)
    own.used = True
    c.params.initial_scid = own.cid
    c.via = own
    client = ClientId(0, packet.scid)
    c.client_ids.append(client)
    c.path = _new_path(c, c.sockaddr, client)
    c.path.tag = Tag.ACTIVE
    c.path.validated = packet.validated
    _listen(c, ServerId(c, TEMPORARY, packet.dcid))


def _new_id(c: QuicConnection) -> ServerId:
    sid = ServerId(c, c.next_server_id, c.listening.receiver.new_id())
    c.next_server_id += 1
    _listen(c, sid)
    return sid


def _listen(c: QuicConnection, sid: ServerId) -> None:
    c.listening.clients[sid.key] = sid
    c.server_ids[sid.seqnum] = sid


def close_id(c: QuicConnection, seqnum: int) -> None:
    """Listen to this id no more."""
    sid = c.server_ids.pop(seqnum, None)
    if sid is not None and c.listening.clients.get(sid.key) is sid:
        del c.listening.clients[sid.key]


def close_ids(c: QuicConnection) -> None:
    """Listen no more."""
    for seqnum in list(c.server_ids):
        close_id(c, seqnum)


def offer_ids(c: QuicConnection) -> None:
    """As many ids as the client keeps.   nginx: ngx_quic_create_sockets"""
    most = min(MOST_SERVER_IDS, c.client_params.active_connection_id_limit)
    while len(c.server_ids) < most:
        sid = _new_id(c)
        c.queue_frame(frames.NewConnectionId(sid.seqnum, 0, sid.cid, tokens.reset_token(c.conf, sid.cid, c.worker)))


def retire_id(c: QuicConnection, seqnum: int) -> None:
    """RETIRE_CONNECTION_ID"""
    if seqnum >= c.next_server_id:
        raise TransportError(frames.PROTOCOL_VIOLATION, "sequence number of id to retire was never issued")
    if c.via.seqnum == seqnum:
        raise TransportError(frames.PROTOCOL_VIOLATION, "sequence number of id to retire refers DCID")
    if seqnum in c.server_ids:
        close_id(c, seqnum)
        offer_ids(c)


# ---- the client's ids


def take_id(c: QuicConnection, frame: frames.NewConnectionId) -> None:
    """NEW_CONNECTION_ID.   nginx: ngx_quic_handle_new_connection_id_frame"""
    if frame.seqnum < c.retired_before:
        c.queue_frame(frames.RetireConnectionId(frame.seqnum))
    else:
        known = next((one for one in c.client_ids if one.seqnum == frame.seqnum), None)
        if known is None:
            c.client_ids.append(ClientId(frame.seqnum, frame.cid, frame.token))
        elif (known.cid, known.token) != (frame.cid, frame.token):
            raise TransportError(frames.PROTOCOL_VIOLATION, "seqnum refers to different connection id/token")
    if frame.retire > c.retired_before:
        c.retired_before = frame.retire
        for one in list(c.client_ids):
            if one.seqnum < frame.retire:
                _retire(c, one)
    if len(c.client_ids) > c.params.active_connection_id_limit:
        raise TransportError(frames.CONNECTION_ID_LIMIT_ERROR, "too many connection ids received")


def _retire(c: QuicConnection, old: ClientId) -> None:
    if not old.used:
        _free_id(c, old)
        return
    for path in list(c.paths):
        if path.cid is not old:
            continue
        if path is not c.path:
            _free_path(c, path)
            return
        fresh = _unused(c)
        if fresh is None:
            raise TransportError(frames.INTERNAL_ERROR, "")
        path.cid = fresh
        fresh.used = True
        _free_id(c, old)
        return


def _unused(c: QuicConnection) -> ClientId | None:
    return next((one for one in c.client_ids if not one.used), None)


def _free_id(c: QuicConnection, old: ClientId) -> None:
    c.queue_frame(frames.RetireConnectionId(old.seqnum))
    if old in c.client_ids:
        c.client_ids.remove(old)


# ---- paths


def _new_path(c: QuicConnection, sockaddr: Any, cid: ClientId) -> Path:
    path = Path(c.next_path, sockaddr, cid)
    c.next_path += 1
    c.paths.append(path)
    return path


def _free_path(c: QuicConnection, path: Path) -> None:
    """An id is for one path only, so its id goes too."""
    c.paths.remove(path)
    _free_id(c, path.cid)


def _tagged(c: QuicConnection, tag: Tag) -> Path | None:
    return next((path for path in c.paths if path.tag is tag), None)


def find(c: QuicConnection, packet: Packet, address: Any) -> bool:
    """Set the path that *packet* has come on; False: do not go on with its datagram.   nginx: ngx_quic_set_path"""
    path = next((one for one in c.paths if one.sockaddr == address), None)
    if path is None:
        if packet.number != c.recovery.spaces[_space(packet.level)].largest_pn:
            return False
        probe = _tagged(c, Tag.PROBE)
        if probe is not None:
            _free_path(c, probe)
        cid = _unused(c)
        if cid is None:
            c.log.info("quic no available client ids for new path", ctx=c)
            return False
        path = _new_path(c, address, cid)
        path.tag = Tag.PROBE
        packet.rebound = c.via.used  # a known id from a new address: its NAT has changed its mind
    c.via.used = True
    packet.path = path
    path.received += len(packet.data)
    return True


def _space(level: int) -> int:
    return APPLICATION if level == frames.EARLY else level


def migrate(c: QuicConnection, packet: Packet) -> None:
    """The client goes on from another address.   nginx: ngx_quic_handle_migration"""
    if packet.number != c.recovery.spaces[APPLICATION].largest_pn:
        return
    path = packet.path
    assert path is not None
    old = c.path
    if packet.rebound:
        _validate(c, old)
    if old.validated:
        if path.tag is not Tag.BACKUP:
            backup = _tagged(c, Tag.BACKUP)
            if backup is not None:
                _free_path(c, backup)
        old.tag = Tag.BACKUP
    else:
        _free_path(c, old)
    c.path = path
    path.tag = Tag.ACTIVE
    if path.validated:
        _use(c, path)
    elif path.state is not State.VALIDATING:
        _validate(c, path)
    c.log.info(f"quic migrated to path seq:{path.seqnum} addr:{path.addr_text}", ctx=c)


def _use(c: QuicConnection, path: Path) -> None:
    c.sockaddr = path.sockaddr
    c.addr_text, c.port = path.sockaddr[0].encode(), path.sockaddr[1]


def answer_challenge(c: QuicConnection, packet: Packet, data: bytes) -> None:
    """PATH_CHALLENGE"""
    if packet.level != APPLICATION or packet.path_challenged:
        return
    packet.path_challenged = True
    path = packet.path
    assert path is not None
    frame = frames.PathResponse(data)
    frame.ignore_congestion = True
    output.send_alone(c, frame, 1200 if path.limit(1200) == 1200 else 0, path)
    if path is c.path:
        c.queue_frame(frames.Ping())


def validated(c: QuicConnection, data: bytes) -> None:
    """PATH_RESPONSE.   nginx: ngx_quic_handle_path_response_frame"""
    path = next((one for one in c.paths if one.state is State.VALIDATING and data in one.challenges), None)
    if path is None:
        return
    backup = _tagged(c, Tag.BACKUP)
    if backup is not None and backup.sockaddr[0] == path.sockaddr[0]:
        path.mtu, path.max_mtu, path.mtu_unvalidated = backup.mtu, backup.max_mtu, False
    else:
        c.recovery.start_over()
    path.validated = True
    _use(c, path)
    if path.mtu_unvalidated:
        path.mtu_unvalidated = False
        _validate(c, path)
        return
    c.queue_frame(frames.NewToken(tokens.make(c.conf, path.sockaddr, b"", False)))
    c.log.info(f"quic path seq:{path.seqnum} addr:{path.addr_text} successfully validated", ctx=c)
    discover_mtu(c, path)


def _validate(c: QuicConnection, path: Path) -> None:
    path.tries = 0
    path.challenges = (os.urandom(8), os.urandom(8))
    _challenge(c, path)
    path.expires = msec() + max(c.recovery.pto(APPLICATION), 1000)
    path.state = State.VALIDATING
    set_timer(c)


def _challenge(c: QuicConnection, path: Path) -> None:
    for data in path.challenges:
        if path.mtu_unvalidated or path.limit(1200) < 1200:
            path.mtu_unvalidated = True
            least = 0
        else:
            least = 1200
        frame = frames.PathChallenge(data)
        frame.ignore_congestion = True  # nginx lets it wait, and a path that is congested when it begins fails
        output.send_alone(c, frame, least, path)


# ---- how large datagrams may be


def discover_mtu(c: QuicConnection, path: Path) -> None:
    """Look for the largest that gets through, in a while.   nginx: ngx_quic_discover_path_mtu"""
    if path.max_mtu:
        if path.max_mtu - path.mtu <= MTU_PRECISION:
            path.state = State.IDLE
            set_timer(c)
            return
        path.mtud = (path.mtu + path.max_mtu) // 2
    else:
        path.mtud = path.mtu * 2
        largest = c.client_params.max_udp_payload_size
        if path.mtud >= largest:
            path.mtud = path.max_mtu = largest
    path.state = State.WAITING
    path.expires = msec() + MTU_DELAY
    set_timer(c)


def acked(c: QuicConnection, first: int, last: int) -> None:
    """Packets first to last have arrived: was a probe among them?"""
    path = c.path
    if path.state is State.MTUD and any(first <= number <= last for number in path.mtu_numbers):
        path.mtu = path.mtud
        discover_mtu(c, path)


def _probe_mtu(c: QuicConnection, path: Path) -> bool:
    """Send a datagram of the size in question; False when the network card refuses it already."""
    ping = frames.Ping()
    ping.ignore_loss = ping.ignore_congestion = True
    number = c.recovery.spaces[APPLICATION].pnum
    mtu, path.mtu = path.mtu, path.mtud
    try:
        sent = output.send_alone(c, ping, path.mtud, path, probe=True)
    finally:
        path.mtu = mtu
    if sent == output.SENT:
        path.mtu_numbers.append(number)
    return sent != output.FAILED


def _begin_mtu(c: QuicConnection, path: Path) -> None:
    path.tries = 0
    while True:
        path.mtu_numbers.clear()
        if _probe_mtu(c, path):
            path.expires = msec() + c.recovery.pto(APPLICATION)
            path.state = State.MTUD
            return
        path.max_mtu = path.mtud
        if path.max_mtu - path.mtu <= MTU_PRECISION:
            path.state = State.IDLE
            return
        path.mtud = (path.mtu + path.max_mtu) // 2


def _mtu_too_large(c: QuicConnection, path: Path) -> None:
    path.tries += 1
    if path.tries < RETRIES and _probe_mtu(c, path):
        path.expires = msec() + (c.recovery.pto(APPLICATION) << path.tries)
        return
    path.max_mtu = path.mtud
    discover_mtu(c, path)


# ---- the timer of all paths


def set_timer(c: QuicConnection) -> None:
    """For what happens next to any path."""
    waiting = [path.expires for path in c.paths if path.state is not State.IDLE]
    if waiting:
        c.after(c.path_timer, max(1, min(waiting) - msec()))
    else:
        c.path_timer.deadline = NEVER


def expired(c: QuicConnection) -> None:
    """nginx: ngx_quic_path_handler"""
    now = msec()
    for path in list(c.paths):
        if path.state is State.IDLE or path.expires > now:
            continue
        if path.state is State.VALIDATING:
            _validation_expired(c, path)
        elif path.state is State.WAITING:
            _begin_mtu(c, path)
        else:
            _mtu_too_large(c, path)
    set_timer(c)


def _validation_expired(c: QuicConnection, path: Path) -> None:
    path.tries += 1
    if path.tries < RETRIES:
        path.expires = msec() + (max(c.recovery.pto(APPLICATION), 1000) << path.tries)
        _challenge(c, path)
        return
    path.validated = False
    if c.path is path:
        backup = _tagged(c, Tag.BACKUP)
        if backup is None:
            raise TransportError(frames.NO_VIABLE_PATH, "no viable path")
        c.path = backup
        backup.tag = Tag.ACTIVE
        c.log.info(f"quic path seq:{backup.seqnum} addr:{backup.addr_text} is restored from backup", ctx=c)
    _free_path(c, path)
