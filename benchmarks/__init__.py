"""Measurements of taskscope itself: run by hand, on an idle machine, never as tests."""
