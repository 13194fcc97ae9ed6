"""Who else believes tokens of an issuer, and by which rules?"""
