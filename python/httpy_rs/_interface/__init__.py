"""How whole applications are called, as far as it is written in Python; the server gives an object for each request."""
