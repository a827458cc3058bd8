"""The real servers that tests run against: found, started, watched and stopped here, and nowhere else.

A server comes from an address in the environment, else from a Docker engine, else from a local program that
``make services`` fetched; else its tests are skipped, saying what is missing, or fail where services are required.
"""
