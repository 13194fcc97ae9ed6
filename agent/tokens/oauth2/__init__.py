"""How does an OAuth 2.0 provider give us an identity token, by client credentials (RFC 6749 §4.4)?"""
