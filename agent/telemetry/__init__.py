"""What will be remembered of what happened?

Three readers of the same facts: a log line, a count, an audit record.
"""

from agent.events import Event, Report


def all_of(*readers: Report) -> Report:
    """One `Report` that tells each of `readers`, in that order."""

    def report(event: Event) -> None:
        for reader in readers:
            reader(event)

    return report
