"""Which container is the caller? Its engine says which there are, and the kernel in which of them the socket is."""
