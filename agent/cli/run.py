"""How is the daemon started, told to stop, and heard when it cannot go on?"""

import argparse
import asyncio
import gc
import logging
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agent import __version__
from agent.assembly.daemon import assemble
from agent.clients.process import allow_many_files, fill_standard_streams, forbid_dumps
from agent.clients.systemd import ServiceManager
from agent.clock import SystemClock
from agent.errors import AgentError
from agent.service import Address
from agent.service import run as live
from agent.settings import Address as Written
from agent.settings import Settings, load
from agent.telemetry.log import configure as configure_log
from agent.telemetry.log import to_journal, write

HELP = "run the daemon"
EXAMPLE = "rolecall run -c /etc/rolecall/rolecall.toml"

#: The exit code of a daemon that fell over a bug of its own (EX_SOFTWARE, sysexits.h).
BUG = 70


def configure(parser: argparse.ArgumentParser) -> None:
    """Take no arguments but those that every verb takes."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP tries again at once whatever is waiting after a failure."""
    gc.disable()  # until all is there that stays: see tell_ready
    fill_standard_streams()
    forbid_dumps()
    allow_many_files()
    settings = load(arguments.config, environ=os.environ, host=socket.gethostname())
    try:
        in_loop(daemon(settings))
    except AgentError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it is a bug, and the service manager is to tell it from the rest
        traceback.print_exc()
        return BUG
    finally:
        logging.shutdown()  # the log first, then what is said about the end
    return 0


def in_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the fastest loop there is."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


async def daemon(
    settings: Settings,
    *,
    ready: Callable[[dict[str, Address]], None] = lambda _: None,
    until: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Assemble and live, until SIGTERM or SIGINT, or until `until` returns; `ready` is told the open listeners.

    With `until`, signals are left to whoever called. Raises the AgentError that kept it from starting.
    """
    info = os.fstat(sys.stderr.fileno())
    journal = to_journal(os.environ.get("JOURNAL_STREAM"), info.st_dev, info.st_ino)
    logger = configure_log(settings.log.level, settings.log.format, sys.stderr, journal=journal)
    manager = ServiceManager(os.environ, os.getpid())
    clock = SystemClock()
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    service = await assemble(
        settings,
        clock=clock,
        chance=random.SystemRandom(),
        logger=logger,
        manager=manager,
        credentials_directory=Path(directory) if directory else None,
    )
    if until is None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, service.nudge)
        until = stop.wait

    def tell_ready(addresses: dict[str, Address]) -> None:
        # What lives now lives until the end: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.enable()
        shown = {name: str(Written(*address)) for name, address in addresses.items()}
        write(logger, 20, "ready", version=__version__, state=service.state(), **shown)
        manager.tell("READY=1", f"STATUS={service.state()}")
        ready(addresses)

    def tell_stopping() -> None:
        write(logger, 20, "stopping")
        manager.tell("STOPPING=1", "STATUS=stopping")

    await live(service, until=until, ready=tell_ready, stopping=tell_stopping, clock=clock)
