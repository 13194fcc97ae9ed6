"""Who holds the private key? AWS KMS."""
