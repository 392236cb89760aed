"""Markdown tables of measurements."""

import statistics


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def median_and_spread(values, digits=0):
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def median_ratio(values, others):
    """Returns the median of the ratios within a round, for as many rounds as both have."""
    return statistics.median(value / other for value, other in zip(values, others))
