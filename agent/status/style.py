"""What does the page for people look like?"""

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #ffffff; --line: #e2e5ea; --ink: #1b2130; --soft: #5c6577;
  --good: #0f7b52; --good-wash: #e3f4ec; --warn: #955b00; --warn-wash: #fdf1dc; --bad: #b3261e; --bad-wash: #fbe6e4;
  --idle: #4a5a8a; --idle-wash: #e8ecf8; --shadow: 0 1px 2px rgb(20 30 60 / 6%), 0 4px 14px rgb(20 30 60 / 5%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10141c; --card: #181e29; --line: #2a3242; --ink: #e8ebf1; --soft: #9aa5b8;
    --good: #52cf9b; --good-wash: #12301f; --warn: #f2b452; --warn-wash: #352708; --bad: #ff8a80; --bad-wash: #3b1714;
    --idle: #9fb2ee; --idle-wash: #1d2643; --shadow: none;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
}
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { display: flex; align-items: baseline; gap: .75rem; padding-top: 2rem; }
h1 { font-size: 1.25rem; letter-spacing: -.01em; margin: 0; }
header span, footer, .about, dt, th, caption { color: var(--soft); }
header span:last-child { margin-left: auto; }
code, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .85em; }
.summary { display: flex; align-items: center; gap: 1rem; margin: 1.25rem 0 1.75rem; padding: 1rem 1.25rem;
  border-radius: .9rem; font-size: 1.15rem; font-weight: 600; }
.summary::before { content: ""; width: .8rem; height: .8rem; border-radius: 50%; background: currentcolor; flex: none; }
.good { --tone: var(--good); --wash: var(--good-wash); }
.warn { --tone: var(--warn); --wash: var(--warn-wash); }
.bad { --tone: var(--bad); --wash: var(--bad-wash); }
.idle { --tone: var(--idle); --wash: var(--idle-wash); }
.summary, .badge { background: var(--wash); color: var(--tone); }
.roles { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 1rem; padding: 0; margin: 0;
  list-style: none; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .9rem; box-shadow: var(--shadow);
  padding: 1.15rem 1.25rem; min-width: 0; }
.role { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .9rem 1.1rem; align-content: start; }
.role h2 { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem .6rem; margin: 0; font-size: 1.1rem;
  overflow-wrap: anywhere; }
.arn { color: var(--soft); overflow-wrap: anywhere; }
.badge { font-size: .75rem; font-weight: 600; padding: .1rem .55rem; border-radius: 1rem; white-space: nowrap; }
.dial { width: 5.25rem; height: 5.25rem; }
.dial circle { fill: none; stroke-width: 6; stroke: var(--line); }
.dial .left { stroke: var(--tone); stroke-linecap: round; transform: rotate(-90deg); transform-origin: center; }
.dial text { fill: var(--ink); text-anchor: middle; font-weight: 650; font-size: 15px; }
.dial .unit { fill: var(--soft); font-weight: 400; font-size: 9.5px; }
dl { grid-column: 1 / -1; display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .5rem 1rem;
  margin: 0; padding-top: .85rem; border-top: 1px solid var(--line); }
dt { font-size: .75rem; } dd { margin: 0; font-size: .95rem; font-variant-numeric: tabular-nums; }
.problem { grid-column: 1 / -1; background: var(--wash); border-radius: .6rem; padding: .7rem .9rem; margin: 0;
  font-size: .92rem; overflow-wrap: anywhere; }
.problem b { color: var(--tone); } .problem span { display: block; margin-top: .25rem; }
.parts { grid-column: 1 / -1; }
.rest { display: grid; grid-template-columns: minmax(0, 3fr) minmax(15rem, 2fr); gap: 1rem; margin-top: 1rem;
  align-items: start; }
@media (max-width: 50rem) { .rest { grid-template-columns: minmax(0, 1fr); } }
h3 { margin: 0 0 .6rem; font-size: .95rem; }
.rest dl { border: 0; padding: 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; font-weight: 400; font-size: .75rem; padding: 0 .75rem .35rem 0; }
td { border-top: 1px solid var(--line); padding: .45rem .75rem .45rem 0; white-space: nowrap; vertical-align: top; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
.scroll { overflow-x: auto; }
footer { padding-top: 1.5rem; padding-bottom: 2rem; font-size: .85rem;
  display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
a { color: inherit; text-underline-offset: .2em; } a:focus-visible { outline: 2px solid var(--idle); }
"""
