"""What networks cost on this machine: time, memory and arithmetic, by back-end and image size, measured by turns."""

from pixalign.benchmarking.measure import benchmark, by_turns
from pixalign.benchmarking.report import result_table, write_report
from pixalign.benchmarking.variants import BACKENDS, DEFAULT

__all__ = ["BACKENDS", "DEFAULT", "benchmark", "by_turns", "result_table", "write_report"]
