"""Style sheet of the report: light, dark and print, without anything to fetch."""

from __future__ import annotations

STYLE = """
:root { --ink: #1b1f23; --paper: #ffffff; --line: #d0d7de; --soft: #f3f5f7; --good: #009e73; --bad: #d55e00;
  --open: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #14181d; --line: #3d444d; --soft: #1f252c; --open: #56b4e9; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 1rem 1.5rem 3rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
section { margin: 1.6rem 0; break-inside: avoid; }
.verdict { border: 1px solid var(--line); border-left: .6rem solid var(--open); padding: .8rem 1rem;
  background: var(--soft); }
.verdict.healthy { border-left-color: var(--good); }
.verdict.collapsing, .verdict.diverged { border-left-color: var(--bad); border-left-style: double; }
.verdict p { margin: .3rem 0; }
dl { display: flex; flex-wrap: wrap; gap: .6rem 2rem; }
dt { font-size: .8rem; opacity: .8; }
dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
.row figure { flex: 1 1 280px; max-width: 520px; }
figure { margin: 0; } figcaption { font-size: .85rem; opacity: .85; margin-top: .2rem; }
img { width: 100%; height: auto; background: #ffffff; } img.patches { image-rendering: pixelated; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .7rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--soft); padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .85rem; }
.note { font-size: .85rem; opacity: .85; overflow-wrap: anywhere; }
@media print { main { max-width: none; padding: 0; } pre { white-space: pre-wrap; }
  .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
