"""Who signs in as a person, and which accounts does that open?"""
