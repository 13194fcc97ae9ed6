"""Whose socket is at the other end of a connection? The kernel says, through sock_diag(7).

One request names the client's socket by both its ends, and the kernel answers while the request is being sent: with
the user who made that socket, its inode, and the control group in which it was made. It takes no privilege, and no
process id, so nothing is left that could be used again by somebody else between two looks.

The words are those of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h; numbers are in the host's byte order,
but for addresses and ports, which are in the network's.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from agent.callers import End

#: NETLINK_SOCK_DIAG and SOCK_DIAG_BY_FAMILY; the kinds of message that say no; that a message is a request.
_PROTOCOL: Final = 4
_BY_FAMILY: Final = 20
_ERROR: Final = 2
_REQUEST: Final = 1

#: INET_DIAG_CGROUP_ID, of kernel 5.8 and newer where it is built with CONFIG_SOCK_CGROUP_DATA.
_CGROUP_ID: Final = 21

#: TCP_ESTABLISHED, TCP_FIN_WAIT1 and TCP_FIN_WAIT2: a client that may still hear us. It has not heard us end, or it
#: would be in CLOSE_WAIT: whatever is in that state, or later, is what is left of an earlier connection.
_TALKING: Final = frozenset((1, 4, 5))

#: struct nlmsghdr: length, kind, flags, sequence, port.
_HEAD: Final = struct.Struct("=IHHII")

#: struct inet_diag_req_v2: family, protocol, attributes wanted, padding, states; then struct inet_diag_sockid: ports,
#: addresses, interface, cookie. No attribute is wanted beyond those that always come. No interface either: a client
#: bound to one is not found, since such sockets alone may share both ends with another, and then which is it?
_ASKED: Final = struct.Struct("=IHHIIBBBxI4s16s16sI8s")
_ANY_COOKIE: Final = b"\xff" * 8  # INET_DIAG_NOCOOKIE, twice
_ANY_STATE: Final = 0xFFFFFFFF

#: The head, and struct inet_diag_msg: family, state, timer, retransmissions, a sockid, expiry, queues, user, inode.
_TOLD: Final = struct.Struct("=IHHIIBB2x4s16s16s4x8x12xII")

#: struct nlattr: length and kind; each begins at a multiple of four.
_ATTRIBUTE: Final = struct.Struct("=HH")
_NUMBER: Final = struct.Struct("=Q")
_KIND: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

#: Room for an answer, in bytes; they are some 150.
_ROOM: Final = 4096

#: So many messages that are not the answer are put aside before we give up: what is left of earlier questions.
_STALE: Final = 8

#: How an IPv4 address begins when it is written as one of IPv6 (RFC 4291 2.5.5.2).
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"


class Owner(NamedTuple):
    """Who made a socket: the user, the inode of the socket, and the id of the control group; 0 if that is unknown."""

    uid: int
    inode: int
    cgroup: int


def line_to_the_kernel() -> socket.socket:
    """Open a line: connected to the kernel, and so deaf to every process. Raises OSError."""
    line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _PROTOCOL)
    try:
        line.connect((0, 0))
    except OSError:
        line.close()
        raise
    return line


class SockDiag:
    """A line to the kernel, kept open. Not for several threads at once."""

    def __init__(self, opened: Callable[[], socket.socket] = line_to_the_kernel) -> None:
        """Open nothing yet, so that what is asked is asked as who we are by then."""
        self._opened = opened
        self._line: socket.socket | None = None
        self._sequence = 0

    def owner(self, client: End, server: End) -> Owner | None:
        """Whoever holds the client's end of the connection from `client` to `server`, if the kernel knows now.

        None also for a client that has closed its end: nobody is left who could be told anything. Never waits.
        Raises OSError if the kernel cannot be asked, on a new line either.
        """
        client_address, server_address = _packed(client[0]), _packed(server[0])
        if client_address is None or server_address is None:
            return None
        ends = struct.pack("!HH", client[1], server[1])
        told = None
        for again in (self._line is not None, False):
            try:
                told = self._ask(ends, client_address, server_address)
            except OSError:
                self.close()
                if not again:
                    raise
            else:
                break
        return None if told is None else _owner(told, ends, client_address, server_address)

    def close(self) -> None:
        """Close the line; another question opens it again."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _ask(self, ends: bytes, client: bytes, server: bytes) -> bytes | None:
        """The kernel's answer; None if there is no such socket, or the answer makes no sense. Raises OSError."""
        if self._line is None:
            self._line = self._opened()
        line = self._line
        self._sequence = sequence = self._sequence % 0xFFFFFFFF + 1
        family = socket.AF_INET if len(client) == len(server) == 4 else socket.AF_INET6
        if family == socket.AF_INET6:
            client, server = _long(client), _long(server)
        question = _ASKED.pack(
            _ASKED.size, _BY_FAMILY, _REQUEST, sequence, 0,
            family, socket.IPPROTO_TCP, 0, _ANY_STATE, ends, client, server, 0, _ANY_COOKIE,
        )  # fmt: skip
        line.send(question, socket.MSG_DONTWAIT)
        for _ in range(_STALE):
            told = line.recv(_ROOM, socket.MSG_DONTWAIT)
            if len(told) < _HEAD.size:
                raise OSError(errno.EBADMSG, "the kernel's answer has no head")
            _, kind, _, answered, _ = _HEAD.unpack_from(told)
            if answered == sequence:
                return _meant(kind, told)
        raise OSError(errno.EBADMSG, "the kernel answers other questions than ours")


def _meant(kind: int, told: bytes) -> bytes | None:
    """An answer that tells of a socket; None if there is none. Raises OSError if the question was not understood."""
    if kind == _BY_FAMILY:
        return told
    if kind == _ERROR and len(told) >= _HEAD.size + 4:
        (number,) = struct.unpack_from("=i", told, _HEAD.size)
        if -number == errno.ENOENT:
            return None
        raise OSError(-number, os.strerror(-number))
    raise OSError(errno.EBADMSG, "the kernel's answer is of an unknown kind")


def _owner(told: bytes, ends: bytes, client: bytes, server: bytes) -> Owner | None:
    """What an answer says, if it is about a socket that somebody holds, and about the one that was asked for."""
    if len(told) < _TOLD.size:
        return None
    length, _, _, _, _, family, state, told_ends, source, destination, uid, inode = _TOLD.unpack_from(told)
    if not _TOLD.size <= length <= len(told):
        return None
    # The kernel falls back to whoever listens on that port; and of a socket that its owner has closed, or of which
    # only the handshake is left, it says user 0, inode 0.
    if state not in _TALKING or not inode or told_ends != ends:
        return None
    if (_short(family, source), _short(family, destination)) != (client, server):
        return None
    return Owner(uid, inode, _cgroup(told[_TOLD.size : length]))


def _cgroup(attributes: bytes) -> int:
    """The id of the control group among the attributes; 0 if it is not there."""
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if not _ATTRIBUTE.size <= length <= len(attributes) - at:
            return 0
        if kind & _KIND == _CGROUP_ID and length == _ATTRIBUTE.size + _NUMBER.size:
            return int(_NUMBER.unpack_from(attributes, at + _ATTRIBUTE.size)[0])
        at += length + 3 & ~3
    return 0


@lru_cache(maxsize=1024)  # loopback has few addresses that are used, and each connection asks for two
def _packed(address: str) -> bytes | None:
    """An address as bytes: four if it is one of IPv4, however it is written; None if it is none."""
    try:
        if ":" not in address:
            return socket.inet_pton(socket.AF_INET, address)
        long = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return None
    return long[12:] if long.startswith(_MAPPED) else long


def _short(family: int, address: bytes) -> bytes:
    """An address of a sockid as `_packed` has it."""
    if family == socket.AF_INET:
        return address[:4]
    return address[12:] if address.startswith(_MAPPED) else address


def _long(address: bytes) -> bytes:
    return _MAPPED + address if len(address) == 4 else address
