"""How each data set lists its videos and where their files lie: one module per data set.

Each has `read(request)`, which takes a `Request` and returns a `Listing`. Lists are the users' own
copies of the official files; none is shipped.
"""
