"""taskscope."""
