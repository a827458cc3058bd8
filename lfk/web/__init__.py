"""The browser's way in: a web page over store and broker. The only room with an HTTP framework and an event loop.

It keeps nothing of its own: what it shows is read from the store and the topics, what people do goes the way that the
commands go. It refuses to know settings, vendors' clients and engines.
"""
