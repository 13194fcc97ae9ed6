"""Who holds the private key? The Transit engine of Vault or OpenBao."""
