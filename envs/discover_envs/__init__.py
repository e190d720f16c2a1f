"""Ground-truth gymnasium environments: the real world that `discover` learns from.

Nothing in `discover` except its command line and its benchmarks imports this package;
methods receive an environment as an argument, as they would receive a laboratory.
"""
