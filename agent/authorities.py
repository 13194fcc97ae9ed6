"""Whom do we trust over TLS?"""

import ssl
from pathlib import Path


def trusting(ca_bundle: Path | None) -> ssl.SSLContext:
    """Trust the authorities of a PEM file, or else those of this machine; TLS 1.2 or newer.

    Reading them takes its time: in a daemon, do it in a thread. Raises OSError or ValueError for a file that is none.
    """
    # Made by hand: create_default_context writes its keys to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_bundle)
    return context
