"""Style sheet of the report: light, dark and print, without anything to fetch."""

from __future__ import annotations

from agents.verdict import State

MARKS: dict[State, str] = {
    "healthy": "\u2713",
    "keep training": "\u2192",
    "stop": "\u25a0",
    "collapsing": "\u2715",
    "memorising": "\u29c9",
    "diverged": "\u2715",
    "not enough evidence": "?",
}
"""A sign beside each verdict, for readers who see no colours."""
STYLE = """
:root { --ink: #1b1f23; --paper: #ffffff; --line: #d0d7de; --soft: #f3f5f7; --good: #009e73; --bad: #d55e00;
  --open: #0072b2; --warn: #e69f00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #14181d; --line: #3d444d; --soft: #1f252c; --open: #56b4e9; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 1rem 1.5rem 3rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
section { margin: 1.6rem 0; } h2 { break-after: avoid; }
figure, tr, pre, .verdict { break-inside: avoid; }
.verdict { border: 1px solid var(--line); border-left: .6rem solid var(--open); padding: .8rem 1rem;
  background: var(--soft); }
.verdict.healthy { border-left-color: var(--good); }
.verdict.stop { border-left-color: var(--warn); border-left-style: dashed; }
.verdict.collapsing, .verdict.diverged, .verdict.memorising { border-left-color: var(--bad);
  border-left-style: double; }
.verdict p { margin: .3rem 0; } .verdict .meaning { font-size: 1.1rem; }
.mark { display: inline-block; min-width: 1.6em; }
dl { display: flex; flex-wrap: wrap; gap: .6rem 2rem; }
dt { font-size: .8rem; opacity: .8; }
dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
.row figure { flex: 1 1 280px; max-width: 520px; }
figure { margin: 0; } figcaption { font-size: .85rem; opacity: .85; margin-top: .2rem; }
img { width: 100%; height: auto; background: #ffffff; } img.patches { image-rendering: pixelated; }
.curves { overflow-x: auto; } .curves img { min-width: 640px; } figcaption { overflow-wrap: anywhere; }
img.progress { width: auto; max-width: 100%; }
section > figure + figure, figure + .wide { margin-top: 1rem; } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .7rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--soft); padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .85rem; }
.note { font-size: .85rem; opacity: .85; overflow-wrap: anywhere; }
@media print { body { font-size: 12px; } .curves img { min-width: 0; } .wide, .curves { overflow: visible; }
  th, td { padding: .15rem .4rem; } main { max-width: none; padding: 0; } pre { white-space: pre-wrap; }
  .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
