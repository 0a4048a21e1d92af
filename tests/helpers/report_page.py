"""Rows of a page of comparisons, clicks on it, and what must not be on it."""

from __future__ import annotations

import json
from typing import Any

from browser import wait

import sim
from sim.metrics.summary import summary


def rows(*families: str, p: int = 4, m: int = 8, **costs: Any) -> list[tuple[dict[str, Any], Any]]:
    found = []
    for name in families:
        schedule = sim.FAMILIES[name](p, m)
        given = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1, **costs)
        trace = sim.simulate(schedule, given)
        found.append((summary(trace, costs=given), trace))
    return found


def pick(browser: Any, name: str) -> None:
    browser.execute_script(
        "[...document.querySelectorAll('.picker :is(a, button)')]"
        ".find(button => button.textContent === arguments[0]).click()",
        name,
    )


def choose(browser: Any, name: str) -> None:
    pick(browser, name)
    wait(browser, f"document.getElementById('schedule').dataset.shown === {json.dumps(name)}")


OVERLAPS = """
const words = figure => [...figure.querySelectorAll('text')]
  .filter(word => word.textContent.trim() && getComputedStyle(word).visibility !== 'hidden')
  .map(word => [word.textContent, word.getBoundingClientRect()])
  .filter(([, box]) => box.width && box.height);
const found = [];
for (const figure of document.querySelectorAll('.svg-container, .pair svg')) {
  const all = words(figure);
  all.forEach(([one, a], i) => all.slice(i + 1).forEach(([other, b]) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 3) found.push(`${one} on ${other}`);
  }));
}
return found"""
"""Words of pictures that lie on each other."""
FAINT = """
const channels = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const over = ([r, g, b, a = 1], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
const luminance = rgb => rgb.map(c => c / 255)
  .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = part => {
  const layers = [];
  for (let at = part; at; at = at.parentElement) layers.push(getComputedStyle(at).backgroundColor);
  return layers.reverse().map(channels).reduce((under, top) => over(top, under), [255, 255, 255]);
};
const found = [];
const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (words.nextNode()) {
  const text = words.currentNode.data.trim(), part = words.currentNode.parentElement;
  const style = getComputedStyle(part);
  if (!text || part.closest('script, style') || style.visibility === 'hidden'
      || !part.getClientRects().length) continue;
  let under = ground(part);
  if (part.matches('.bartext')) {
    const bar = getComputedStyle(part.closest('.point').querySelector('path'));
    const [r, g, b, a = 1] = channels(bar.fill);
    under = over([r, g, b, a * Number(bar.fillOpacity)], under);
  }
  const ink = over(channels(part.closest('svg') ? style.fill : style.color), under);
  const [light, dark] = [luminance(ink), luminance(under)].sort((x, y) => y - x);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 4.5) found.push(`${text}: ${contrast.toFixed(2)}`);
}
return found"""
"""Words too pale for the paper they stand on."""
