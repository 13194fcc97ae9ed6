"""Stand-ins for what we own, written once."""
