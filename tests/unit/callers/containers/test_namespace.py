"""A line into another network namespace stays there, and who opened it does not."""

import asyncio
import os

import pytest

from agent.callers.containers.namespace import line_in
from agent.callers.containers.process import inode
from agent.callers.kernel.sock_diag import SockDiag
from agent.threads import aside
from tests.fakes.other_network import other_network


async def test_it_knows_the_sockets_in_there_and_no_others() -> None:
    async with other_network() as there:
        client, server = await there.connected()
        line = await aside(line_in, os.open(there.sandbox, os.O_RDONLY), SockDiag)
        assert line.owner(client, server) is not None
        out_here = SockDiag()
        assert out_here.owner(client, server) is None
        out_here.close()
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with listening:
            _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            ends = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
            assert line.owner(*ends) is None
            writer.close()
        line.close()


async def test_this_process_stays_where_it_is() -> None:
    before = inode("/proc/self/ns/net")
    async with other_network() as there:
        line = await aside(line_in, os.open(there.sandbox, os.O_RDONLY), SockDiag)
        assert inode("/proc/self/ns/net") == before
        line.close()


async def test_what_is_no_namespace_cannot_be_entered() -> None:
    descriptor = os.open("/proc/self/status", os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        await aside(line_in, descriptor, SockDiag)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
