"""How does an issuer's directory become a web site?

A plain file server, read anew at every request, so that what is published is seen at once. It serves as a careful
operator would: JSON documents as JSON, and nothing outside the directory.
"""

from pathlib import Path
from typing import Final

from aiohttp import web

_JSON: Final = "application/json"
_CACHING: Final = "public, max-age=300"


class DirectorySite:
    """The web site of one issuer.

    Args:
        root: the directory that was published; it may appear later.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer GET and HEAD with a file, or 404."""
        return self.answer(request.method, request.path)

    def answer(self, method: str, path: str) -> web.Response:
        """What is said to a request for this path, which begins with a slash."""
        if method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}, text="method not allowed\n")
        wanted = self._find(path)
        if wanted is None:
            return web.Response(status=404, text="not found\n")
        is_json = wanted.suffix in (".json", "") or ".well-known" in wanted.parts
        media_type = _JSON if is_json else "application/octet-stream"
        return web.Response(body=wanted.read_bytes(), content_type=media_type, headers={"Cache-Control": _CACHING})

    def paths(self) -> list[str]:
        """Every path that has a file."""
        return [f"/{one.relative_to(self._root).as_posix()}" for one in self._root.rglob("*") if one.is_file()]

    def _find(self, path: str) -> Path | None:
        """The file behind a path, if it is one, and if it is inside: links that lead out are not followed."""
        try:
            root = self._root.resolve()
            wanted = (root / path.lstrip("/")).resolve()
            return wanted if wanted.is_relative_to(root) and wanted.is_file() else None
        except (OSError, ValueError):  # a name that no file can have
            return None
