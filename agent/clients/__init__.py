"""How is the outside opened, and closed again?

Lifetimes only: what is said through an open client is the affair of whoever uses it.
"""
