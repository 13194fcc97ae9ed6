"""Who holds the private key? A token that a PKCS#11 module speaks to."""
