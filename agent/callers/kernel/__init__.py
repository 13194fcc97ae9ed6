"""What does the kernel say of whoever is at the other end of a connection?

`sock_diag` asks it whose socket that is, `cgroups` finds the path of a control group in the `hierarchy`, `units` reads
it as systemd does, `user_ids` knows which user id means nobody, `recogniser` makes facts of all that, and `probe` tries
whether it works on this machine.
"""

from agent.callers.kernel.probe import Sight, Wanting, probe
from agent.callers.kernel.recogniser import KernelRecogniser
from agent.callers.kernel.units import Patterns

__all__ = ["KernelRecogniser", "Patterns", "Sight", "Wanting", "probe"]
