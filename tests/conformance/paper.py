"""What does docs/conformance.md say? What was seen, scene by scene, and nothing that differs from run to run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.conformance.cast import CAST, Client
from tests.conformance.scenes import SCENES, Scene
from tests.conformance.words import BY_NO_PROXY, BY_TOKEN_FILE, EXPIRED, RECOVERS, UNSIGNED, WHILE_OVERLAP, WORKS, Words

PAPER = Path(__file__).parents[2] / "docs/conformance.md"

#: What was seen: of each scene, by its name, what each client did, by its own.
Seen = Mapping[str, Words]

_HEAD = """\
# Do the AWS SDKs work with it?

<!-- Written by `make conformance`, which plays every scene with every client. What differs from this is a failure. -->

Each client is a program of its own that uses one unmodified SDK with its default chain of credentials, its own number
of tries and its own time-outs, and keeps its client object for life, as a service does. The agent is a process of its
own, too, and AWS is the sandbox: it verifies every signature. Every request on the way there is looked at, so that it
is seen, not guessed, that a client sends nothing without a good signature.

In every scene, three things must hold for every client: nothing reaches AWS unsigned or wrongly signed because of what
the agent has answered; no request takes longer than the client's own tries and time-outs do; and the client works
again by itself, in the same process, when the trouble is over. What a client does against this by itself is told here,
with what you do about it; the suite knows these by name, and fails when there is one more, or one less.
"""

_LEGEND: Mapping[str, str] = {
    WORKS: "every request succeeds.",
    RECOVERS: (
        "the client has an error of its own while the trouble lasts, in its own time, or outlasts it; it sends AWS "
        "nothing that is not well signed, and works again by itself, without a restart."
    ),
    f"{UNSIGNED}, {RECOVERS}": (
        "after its own tries the client goes on without a signature, which AWS refuses (a public bucket would answer); "
        "it works again by itself."
    ),
    f"{EXPIRED}, {RECOVERS}": (
        "the client goes on with what it had, which has ended, and AWS refuses it; it works again by itself."
    ),
    WHILE_OVERLAP: "the client shows the old token for as long as it runs.",
    BY_NO_PROXY: "every request succeeds; without `NO_PROXY`, the client would show its token to the proxy.",
    BY_TOKEN_FILE: (
        "every request succeeds, once `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` names a file; without, the client has "
        "an error of its own."
    ),
}


def paper(seen: Seen, releases: Sequence[str]) -> str:
    """The whole document."""
    parts = [
        _HEAD,
        "## What was run\n",
        "\n".join(f"* {line}" for line in releases) + "\n",
        "## What was seen\n",
        _table(seen) + "\n",
        "\n".join(f"* **{word}**: {meaning}" for word, meaning in _LEGEND.items()) + "\n",
        "## Scene by scene\n",
        *(_section(scene, seen[scene.name]) for scene in SCENES),
    ]
    return "\n".join(parts)


def releases(clients: Iterable[Client]) -> list[str]:
    """Which versions are here."""
    return [f"{client.title}: {client.release() or 'not known'}" for client in clients]


def releases_on(text: str) -> list[str]:
    """Which versions a document says were run."""
    listed = text.partition("## What was run\n")[2].partition("## ")[0]
    return re.findall(r"^\* (.*)$", listed, re.MULTILINE)


def seen_on(text: str) -> dict[str, Words]:
    """What the table of a document says."""
    rows = [_cells(line) for line in text.splitlines() if line.startswith("|")]
    if not rows:
        return {}
    titles = {scene.title: scene.name for scene in SCENES}
    names = {client.title: client.name for client in CAST}
    columns = [titles.get(title, title) for title in rows[0][1:]]
    found: dict[str, Words] = {name: {} for name in columns}
    for title, *words in rows[2:]:
        for column, said in zip(columns, words, strict=True):
            found[column][names.get(title, title)] = said
    return found


def _table(seen: Seen) -> str:
    rows = [["", *(scene.title for scene in SCENES)], ["---"] * (len(SCENES) + 1)]
    rows += [[client.title, *(seen[scene.name][client.name] for scene in SCENES)] for client in CAST]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _section(scene: Scene, words: Words) -> str:
    groups: dict[str, list[str]] = {}
    for client in CAST:
        groups.setdefault(words[client.name], []).append(client.title)
    if len(groups) == 1:
        told = f"all clients: {next(iter(groups))}"
    else:
        most = max(groups, key=lambda word: len(groups[word]))
        told = "; ".join(
            f"{'all others' if word == most else ', '.join(titles)}: {word}"
            for word, titles in sorted(groups.items(), key=lambda item: len(item[1]))
        )
    title = scene.title[0].upper() + scene.title[1:]
    return f"### {title}\n\n{scene.happens}\n\nSeen: {told}.\n\nWhat to do: {scene.operator}\n"
