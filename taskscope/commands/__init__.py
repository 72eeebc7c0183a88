"""The commands, one a module: its options, its examples, and what it prints and exits with.

Each is a few lines: what it does lies in the modules it names.
"""
