"""Pictures of what was measured, drawn by hand in SVG: bars of ratios with their spread, and curves of growth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_WIDTH = 860
_LEFT, _RIGHT, _ROW, _TOP = 400, 130, 30, 46
_FONT = "font-family='system-ui, sans-serif' font-size='13'"
_INK, _FAINT, _GOOD, _POOR, _MARK = "#1f2933", "#cbd2d9", "#2f7d5b", "#b4532a", "#1f2933"


def bars(title: str, figures: Sequence[Mapping[str, Any]]) -> str:
    """Ratios on a logarithmic axis: a bar to the median, a line from the least to the most, a mark at the target."""
    values = [value for figure in figures for value in (figure["least"], figure["most"], _target(figure))]
    low = 2 ** math.floor(math.log2(min([0.5, *(value for value in values if value > 0)])))
    high = 2 ** math.ceil(math.log2(max([2.0, *values])))

    def x(value: float) -> float:
        part = math.log(max(value, low) / low) / math.log(high / low)
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    height = _TOP + _ROW * len(figures) + 44
    bottom = _TOP + _ROW * len(figures)
    parts = [_text(16, 24, title, weight="600")]
    tick = low
    while tick <= high:
        parts.append(_line(x(tick), _TOP - 8, x(tick), bottom, _MARK if tick == 1 else _FAINT))
        parts.append(_text(x(tick), bottom + 16, f"{tick:g}×", anchor="middle"))
        tick *= 2
    for number, figure in enumerate(figures):
        middle = _TOP + _ROW * number + _ROW / 2
        median, met = figure["median"], figure["met"]
        start, end = sorted((x(1.0), x(median)))
        colour = _POOR if met is False else _GOOD
        parts.append(_text(_LEFT - 10, middle + 4, figure["name"], anchor="end"))
        parts.append(
            f"<rect x='{start:.1f}' y='{middle - 8:.1f}' width='{end - start:.1f}' height='16' fill='{colour}'/>"
        )
        parts.append(_line(x(figure["least"]), middle, x(figure["most"]), middle, _MARK, 2))
        if figure["target"] is not None:
            at = x(_target(figure))
            parts.append(_line(at, middle - 12, at, middle + 12, _MARK, 2, dash="3 2"))
        parts.append(_text(_WIDTH - _RIGHT + 12, middle + 4, f"{median:.2f}×{_promised(figure)}"))
    parts.append(_text(16, height - 8, "bar: median; line: least to most of all rounds; dashed: target", size=11))
    return _svg(height, parts)


def curve(title: str, x_name: str, y_name: str, points: Sequence[Sequence[float]]) -> str:
    """Points joined by lines, both axes logarithmic."""
    height, bottom, top = 320, 270, 44
    left, right = 70, _WIDTH - 30
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    x_low, x_high, y_low, y_high = _decade(min(xs), -1), _decade(max(xs), 1), _decade(min(ys), -1), _decade(max(ys), 1)

    def x(value: float) -> float:
        return left + math.log(value / x_low) / math.log(x_high / x_low) * (right - left)

    def y(value: float) -> float:
        return bottom - math.log(value / y_low) / math.log(y_high / y_low) * (bottom - top)

    parts = [_text(16, 24, title, weight="600")]
    for tick in _decades(x_low, x_high):
        parts.append(_line(x(tick), top, x(tick), bottom, _FAINT))
        parts.append(_text(x(tick), bottom + 16, f"{tick:,g}", anchor="middle"))
    for tick in _decades(y_low, y_high):
        parts.append(_line(left, y(tick), right, y(tick), _FAINT))
        parts.append(_text(left - 8, y(tick) + 4, f"{tick:,g}", anchor="end"))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    parts.append(f"<polyline points='{path}' fill='none' stroke='{_GOOD}' stroke-width='2'/>")
    for a, b in points:
        parts.append(f"<circle cx='{x(a):.1f}' cy='{y(b):.1f}' r='4' fill='{_GOOD}'/>")
        parts.append(_text(x(a) + 7, y(b) - 7, f"{b:,.3g}", size=11))
    parts.append(_text((left + right) / 2, height - 10, x_name, anchor="middle"))
    parts.append(_text(left, top - 8, y_name, size=11))
    return _svg(height, parts)


def _target(figure: Mapping[str, Any]) -> float:
    return float(figure["target"]["value"]) if figure["target"] else 1.0


def _promised(figure: Mapping[str, Any]) -> str:
    if not figure["target"]:
        return ""
    sign = "≥" if figure["target"]["direction"] == "at least" else "≤"
    return f" ({sign} {figure['target']['value']:g})"


def _decade(value: float, way: int) -> float:
    power = math.log10(value)
    return float(10 ** (math.floor(power) if way < 0 else math.floor(power) + 1))


def _decades(low: float, high: float) -> Iterable[float]:
    while low <= high * 1.001:
        yield low
        low *= 10


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1, dash: str = "") -> str:
    dashed = f" stroke-dasharray='{dash}'" if dash else ""
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' "
        f"stroke-width='{width}'{dashed}/>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 13, weight: str = "400") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' font-weight='{weight}' "
        f"fill='{_INK}'>{escape(text)}</text>"
    )


def _svg(height: float, parts: Sequence[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height:.0f}' role='img' {_FONT}>"
    ground = f"<rect width='{_WIDTH}' height='{height:.0f}' fill='#ffffff'/>"
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"
