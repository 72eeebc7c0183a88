"""The workloads: plain functions in `workloads`, and one thin module per framework.

Both frameworks run the same function with the same arguments; the thin modules only register it.
"""
