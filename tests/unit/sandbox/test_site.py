"""Is a directory shown as a web site, and nothing else?"""

import json
from pathlib import Path

from tests.unit.sandbox.scene import ISSUER, scene
from tests.unit.sandbox.visits import DISCOVERY


async def test_the_directory_is_served_and_nothing_outside_it(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    async with scene(tmp_path) as here:
        (here.site / "link.json").symlink_to(tmp_path / "secret.json")
        base = here.sandbox.site_urls[ISSUER]
        discovery = await here.get(f"{base}{DISCOVERY}")
        assert json.loads(discovery.body) == here.issuer.discovery
        assert discovery.headers["Content-Type"] == "application/json"
        assert "max-age=" in discovery.headers["Cache-Control"]
        for path in ("/", "/nothing", "/link.json", "/%2e%2e/secret.json", "/..%2fsecret.json", "/.well-known", "/%00"):
            assert (await here.get(base + path)).status == 404, path
        async with here.http.post(base + DISCOVERY) as posted:
            assert posted.status == 405
