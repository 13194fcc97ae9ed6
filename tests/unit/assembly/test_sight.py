from agent.assembly.sight import sight
from agent.callers.kernel import probe


def test_it_is_what_the_probe_of_the_kernel_finds() -> None:
    found, seen = probe(), sight()
    assert (seen.users, seen.units) == (found.users, found.units)
    assert list(seen.wanting) == [(one.what, one.hint) for one in found.wanting]
    assert all(what and hint for what, hint in seen.wanting)
