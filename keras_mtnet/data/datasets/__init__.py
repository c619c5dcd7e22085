"""How each data set lists its videos and where their files lie: one module a data set.

Each has `read(part)`, which takes a `Part` and returns a `Listing`. Lists are the users' own copies
of the official files; none is shipped.
"""
