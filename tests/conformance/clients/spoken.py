"""How does a client program of the conformance suite hold a conversation? A line in, a line of JSON out."""

import json
import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def speak(make: Callable[[], T], ask: Callable[[T], str]) -> None:
    """Answer `call` and `fresh` until stdin ends.

    `make` gives the client object, which is kept from the first call on, as a service keeps it; `ask` makes one
    signed request with it and tells what came back.
    """
    kept: list[T] = []
    for line in sys.stdin:
        if line.strip() == "fresh":
            kept.clear()
        started = time.monotonic()
        said, error = "", ""
        try:
            if not kept:
                kept.append(make())
            said = ask(kept[0])
        except BaseException as failure:  # noqa: BLE001 - whatever a client makes of trouble: Rust's panics are no Exception
            words = " ".join(str(failure).split())[:200]
            error = f"{type(failure).__name__}: {words}"
        seconds = round(time.monotonic() - started, 3)
        answer = {"ok": not error, "seconds": seconds} | ({"error": error} if error else {"said": said})
        print(json.dumps(answer), flush=True)  # noqa: T201 - the conversation
