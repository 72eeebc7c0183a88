"""The stack: Redis, Prometheus, exporters, workers and generator.

`native` runs them as child processes on free loopback ports, and needs no container engine. A
framework's module here says one thing: the command line of its worker.
"""
