"""Prometheus exporters for what a worker cannot know about itself.

``python -m exporters`` serves one ``/metrics`` page with the depth of the queues, the CPU and
memory of whole process trees, the load on the broker and the state of the host. One module is one
metric source, in three steps: read, parse (pure), emit. Nothing runs between two scrapes, and a
source whose read failed is absent from that scrape, so that "failed" never looks like "zero".
"""
