"""How does this AWS say to others who a caller is? By tokens of the account's own issuer, from GetWebIdentityToken."""
