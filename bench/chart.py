# SPDX-License-Identifier: GPL-3.0-or-later
"""A bar chart as SVG text: groups of bars from left to right on a logarithmic axis."""
import math
from xml.sax.saxutils import escape

COLOURS = {'Ringpost': '#0b6e4f', 'Postfix': '#c8553d', 'Exim': '#588b8b', 'Haraka': '#f28f3b'}
OTHER = '#7a7a7a'
WIDTH, LEFT, RIGHT, TOP = 860, 130, 70, 64
BAR, GAP = 13, 12


def text(x, y, words, extra=''):
    return f'<text x="{x:.0f}" y="{y:.0f}" {extra}>{escape(words)}</text>'


def number(value):
    return f'{value:.0f}' if value >= 20 else f'{value:.1f}'


def bars(title, groups):
    """groups: [(label, [(server, value), ...]), ...]; values above 0."""
    values = [v for _, row in groups for _, v in row if v > 0]
    low = math.floor(math.log10(min(values, default=1)))
    high = max(low + 1, math.ceil(math.log10(max(values, default=10))))
    scale = (WIDTH - LEFT - RIGHT) / (high - low)
    height = TOP + sum(len(row) * BAR + GAP for _, row in groups) + 28
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
           f'height="{height}" font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           text(10, 20, title, 'font-size="13" font-weight="bold"')]
    x = 10
    for server in [s for s in COLOURS if any(s == name for _, row in groups for name, _ in row)]:
        out += [f'<rect x="{x}" y="32" width="12" height="12" fill="{COLOURS[server]}"/>', text(x + 17, 42, server)]
        x += 90
    for power in range(low, high + 1):
        at = LEFT + (power - low) * scale
        out += [f'<line x1="{at:.0f}" y1="{TOP - 6}" x2="{at:.0f}" y2="{height - 24}" stroke="#dddddd"/>',
                text(at, height - 10, f'{10 ** power:g}', 'text-anchor="middle"')]
    y = TOP
    for label, row in groups:
        out.append(text(LEFT - 8, y + len(row) * BAR / 2 + 4, label, 'text-anchor="end"'))
        for server, value in row:
            long = max(1.0, (math.log10(max(value, 10 ** low)) - low) * scale)
            out += [f'<rect x="{LEFT}" y="{y}" width="{long:.1f}" height="{BAR - 2}" '
                    f'fill="{COLOURS.get(server, OTHER)}"/>', text(LEFT + long + 5, y + BAR - 3, number(value))]
            y += BAR
        y += GAP
    return '\n'.join([*out, '</svg>']) + '\n'
