"""Is it what the kernel tells of us here?"""

from agent.assembly.sight import sight
from agent.callers.kernel import probe


def test_it_is_what_the_probe_of_the_kernel_finds() -> None:
    found = sight()
    assert found == probe()
    assert (found.users and found.units) or found.wanting
