"""Where do others learn our public keys? A bucket of S3 that many hosts may share."""
