"""Who holds the private key? A TPM 2.0."""
