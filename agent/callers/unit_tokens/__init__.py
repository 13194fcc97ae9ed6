"""Which unit is the caller, by the token that systemd gave it? `generations` are pure, `file` keeps them."""
