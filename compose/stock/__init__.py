"""What others offer to watch a worker, set up as its own documentation says, to be compared."""
