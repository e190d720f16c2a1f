"""The endless search is a program of its own."""

collect_ignore = ["endless.py"]
