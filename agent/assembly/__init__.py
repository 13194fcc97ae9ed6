"""How is it put together?

The only folder that imports implementations, and the last that sees settings; each file turns what the operator
wrote about one family into its door's type. The whole is in `daemon`.
"""
