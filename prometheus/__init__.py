"""Prometheus: what it scrapes and the rules it evaluates, as the files it reads."""

from pathlib import Path

CONFIG = Path(__file__).with_name("prometheus.yml")
RULES = Path(__file__).with_name("rules")
