"""One plot as SVG: lines over powers of two, readable in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 720, 320, 56, 48, 40, 130
_COLOURS = ("#1f6feb", "#bf5af2", "#d9822b", "#2da44e")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.grid{stroke:#8c959f;stroke-opacity:.35}"
    "@media(prefers-color-scheme:dark){text{fill:#adbac7}}"
)


def lines(title: str, across: Sequence[int], up: Mapping[str, Sequence[float]], labels: tuple[str, str]) -> str:
    """Draw a line for each name in *up*, with one value for each of *across*. *labels* are those of both axes."""
    highest = _rounded_up(max(max(values) for values in up.values()))
    step = (_WIDTH - _LEFT - _RIGHT) / (len(across) - 1)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / highest)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="20">{escape(title)}</text>',
    ]
    for part in range(5):
        value = highest * part / 4
        drawn.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for position, value in enumerate(across):
        drawn.append(
            f'<text x="{_LEFT + position * step:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{value}</text>'
        )
    drawn.append(f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{escape(labels[0])}; upwards {escape(labels[1])}</text>')
    for colour, (name, values) in zip(_COLOURS, up.items(), strict=False):
        points = " ".join(f"{_LEFT + position * step:.1f},{y(value):.1f}" for position, value in enumerate(values))
        drawn.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
            f'<text x="{_WIDTH - _RIGHT + 8}" y="{y(values[-1]) + 4:.1f}" style="fill:{colour}">{escape(name)}</text>'
        )
    return "\n".join([*drawn, "</svg>"]) + "\n"


def _rounded_up(value: float) -> float:
    """Round up to a number that four steps divide well."""
    magnitude: float = 1
    while magnitude * 10 < value:
        magnitude *= 10
    return next(magnitude * factor for factor in (1, 2, 4, 6, 8, 10) if magnitude * factor >= value)
