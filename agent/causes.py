"""What led to an error?"""

from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error itself, what it was raised from, what that was raised from, and so on to what the system said.

    botocore's exceptions keep what they were made of among their `kwargs`, and may have another cause besides; then the
    former counts. None comes twice, though they may lead in a circle.
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        about = getattr(one, "kwargs", None)
        kept = about.get("error") if isinstance(about, dict) else None
        one = kept if isinstance(kept, BaseException) else one.__cause__
