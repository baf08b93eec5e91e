# SPDX-License-Identifier: Apache-2.0
"""Figures: each module prints its own, `python -m bench.NAME`. Medians of several rounds, and ratios within one run."""
