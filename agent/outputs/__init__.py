"""How do credentials leave? One file per shape of exit."""
