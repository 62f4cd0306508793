# SPDX-License-Identifier: GPL-3.0-or-later
"""A straight line through figures over time: do they grow?"""
import math

LEAST_GROWTH = 0.01  # of the mean
SIGMAS = 4.0


class Line:
    """mean, least, most; growth: what the line rises over the whole time; doubt: the standard error of that.

    Figures that were read one after the other are not independent (a busy second is followed by another): they are put
    together in `BLOCKS` blocks, whose means are, and the line is drawn through those."""

    BLOCKS = 12

    def __init__(self, times, values):
        if len(values) < 2 * self.BLOCKS:
            raise ValueError(f'{len(values)} looks are too few for a line')
        self.mean, self.least, self.most = sum(values) / len(values), min(values), max(values)
        edges = [round(i * len(values) / self.BLOCKS) for i in range(self.BLOCKS + 1)]
        blocks = list(zip(edges, edges[1:]))
        xs = [sum(times[a:b]) / (b - a) for a, b in blocks]
        ys = [sum(values[a:b]) / (b - a) for a, b in blocks]
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((x - mean_x) ** 2 for x in xs)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / spread
        rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys))
        seconds = times[-1] - times[0]
        self.growth = slope * seconds
        self.doubt = math.sqrt(rest / (len(xs) - 2) / spread) * seconds

    def grows(self):
        """More than a hundredth, and more than chance explains."""
        return self.growth > LEAST_GROWTH * abs(self.mean) and self.growth > SIGMAS * self.doubt
