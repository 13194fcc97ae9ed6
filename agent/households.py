"""Who is one caller by its address? Pure."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def household(address: str) -> str:
    """The address, or, where that is IPv6, its whole /64: each host has one to itself, and may call from all of it.

    What is no address is taken as it is.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return address
    return str(ip.ipv4_mapped) if ip.ipv4_mapped else str(ipaddress.ip_network((ip.packed, 64), strict=False))
