"""From stored telemetry to results: nothing that ran during the measurement computes any.

`manifest` says which cells there are and where their marks lie, `promql` and `traces` derive the
same figures from two independent records, `audit` holds them against each other, `dataset` stores
all of it, and `compare` puts two variants side by side.
"""
