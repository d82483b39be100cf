/**
 * A trace as one self-contained HTML page: nodes as lanes, time downward,
 * messages as arrows, operations as bars, faults as shaded spans, and the list
 * of lines beside it.
 *
 * Its parts are files in `trace_page/`, so that style and program are checked
 * as such; this module combines them. The program consists of several modules,
 * which a page in one file cannot import: they are concatenated, without their
 * imports and exports.
 *
 * @module
 */
import { failureLine, shortened } from "./failure_report.ts";
import { describeSchedule } from "../schedule/fault_words.ts";
import type { SimulationResult } from "../simulation_result.ts";
import style from "./page/page.css" with { type: "text" };
import drawing from "./page/drawing.js" with { type: "text" };
import program from "./page/page.js" with { type: "text" };
import rows from "./page/rows.js" with { type: "text" };
import scale from "./page/scale.js" with { type: "text" };
import { timelineOf } from "./trace_timeline.ts";

/**
 * Most events on a page; a longer trace shows its last ones. More would make a
 * page too heavy for browsers.
 */
export const TRACE_PAGE_EVENTS_MAX = 100_000;

/** What the page shows besides the result. */
export interface TracePageOptions {
  /** Git commit of the simulated code. */
  readonly commit?: string | undefined;
  /** The command that runs it again. */
  readonly replay?: string | undefined;
}

/** The page of `result`, which must have been run with a trace. */
export function renderTracePage(
  result: SimulationResult,
  options: TracePageOptions = {},
): string {
  const { schedule, violations, history } = result;
  const events = result.trace.events.slice(-TRACE_PAGE_EVENTS_MAX);
  const title = `Seed ${schedule.seed}`;
  const timeline = timelineOf(events, history, violations);
  const places = [...new Set(events.map(({ place }) => place))];
  const kinds = [...new Set(events.map(({ kind }) => kind))];
  const placeNumbers = new Map(places.map((place, number) => [place, number]));
  const kindNumbers = new Map(kinds.map((kind, number) => [kind, number]));
  const data = {
    lanes: timeline.lanes,
    places,
    kinds,
    events: events.map(({ atMs, place, kind, text }) => [
      Number(atMs.toFixed(3)),
      placeNumbers.get(place),
      kindNumbers.get(kind),
      text,
    ]),
    messages: timeline.messages,
    operations: timeline.operations,
    spans: timeline.spans,
    violations: violations.map(({ check, message, operations = [] }) => {
      const event = events.findLastIndex(({ kind, text }) =>
        kind === "violation" && text === `${check}: ${message}`
      );
      return event < 0 ? { operations } : { operations, event };
    }),
  };
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}${
    violations[0] === undefined ? "" : `: ${escapeHtml(violations[0].check)}`
  }</title>
<style>
${style}</style>
</head>
<body>
${heading(result, title, options, events.length)}
<main>
  <div id="diagram"><canvas id="canvas" tabindex="0" role="img" aria-label="Diagram of the events. The list beside it has the same as text."></canvas></div>
  <canvas id="overview" aria-hidden="true"></canvas>
  <div id="divider" role="separator" aria-orientation="vertical" aria-label="Width of the list" tabindex="0"></div>
  <aside id="side">
    <div class="heading"><span>Events</span><span id="count" aria-live="polite"></span></div>
    <div id="list" role="listbox" aria-label="Events" tabindex="0">
      <div id="nothing" hidden>No line matches. Shorten the filter, or show kinds and places again.</div>
      <div id="space"></div>
    </div>
  </aside>
</main>
<footer id="detail" aria-live="polite"></footer>
<div id="tip" role="tooltip" hidden></div>
${KEYS}
<script type="application/json" id="data">${embeddedJson(data)}</script>
<script type="module">
${[rows, scale, drawing, program].map(withoutModules).join("\n")}
showTrace(JSON.parse(document.getElementById("data").textContent));
</script>
</body>
</html>
`;
}

function heading(
  result: SimulationResult,
  title: string,
  { commit, replay }: TracePageOptions,
  shown: number,
): string {
  const { violations, undecided, counts, schedule, trace } = result;
  const dropped = trace.events.length + trace.dropped - shown;
  const [name, text] = violations.length > undecided.length
    ? ["bad", [...new Set(violations.map(({ check }) => check))].join(", ")]
    : undecided.length > 0
    ? ["open", "undecided"]
    : ["good", "passed"];
  const facts = [
    `${counts.ok} operations ok, ${counts.failed} failed, ${counts.unknown} unknown`,
    `${(result.virtualMs / 1_000).toFixed(1)} s of virtual time`,
    commit === undefined ? "" : `commit ${commit}`,
    dropped > 0 ? `the first ${dropped} events are left out` : "",
  ].filter((fact) => fact !== "");
  const items = violations.map(({ check, message }, index) =>
    `<li><button data-index="${index}" title="${
      escapeHtml(shortened(message, 2_000))
    }"><b>${escapeHtml(check)}</b> ${
      escapeHtml(message.split("\n")[0] ?? "")
    }</button></li>`
  );
  return `<header>
  <div class="line">
    <h1>${escapeHtml(title)}</h1><span class="verdict ${name}">${
    escapeHtml(text)
  }</span>
    <span class="facts">${escapeHtml(facts.join(" · "))}</span>
    <span class="grow"></span>
    <input id="filter" type="search" placeholder="Filter: n2 put -log" aria-label="Show only lines with these words" spellcheck="false">
    <div class="group" role="group" aria-label="Scale">
      <button id="steps" aria-pressed="true" title="Each event one step below the one before (t)">Steps</button><button id="time" aria-pressed="false" title="True to time (t)">Time</button>
    </div>
    <div class="group" role="group" aria-label="Zoom">
      <button id="zoom-out" aria-label="Zoom out" title="Zoom out (-)">−</button><button id="zoom-in" aria-label="Zoom in" title="Zoom in (+)">+</button><button id="fit" title="All of it (0)">Fit</button>
    </div>
    <div class="group"><button id="theme" aria-label="Light or dark" title="Light or dark">◐</button><button id="help" aria-label="Keys and signs" title="Keys and signs (?)">?</button></div>
  </div>
  <ul id="violations">${items.join("")}</ul>
  <div class="line">
    <details><summary>What was run</summary><pre>${
    escapeHtml(
      [
        ...describeSchedule(schedule),
        "",
        ...(violations.length > 0 ? [failureLine(result, commit)] : []),
        ...(replay === undefined ? [] : [replay]),
      ].join("\n"),
    )
  }</pre></details>
    <span class="grow"></span>
    <div id="kinds" class="line chips" role="group" aria-label="Kinds of events"></div>
  </div>
</header>`;
}

const KEYS = `<dialog id="keys" aria-label="Keys and signs">
<h2>Keys</h2>
<dl>
<dt><kbd>↑</kbd> <kbd>↓</kbd></dt><dd>the line before, the next</dd>
<dt><kbd>m</kbd></dt><dd>the other end of a message or an operation</dd>
<dt><kbd>v</kbd> <kbd>f</kbd></dt><dd>the next violation, the next fault; with Shift the one before</dd>
<dt><kbd>/</kbd></dt><dd>filter: all words must be in a line, none of those behind a dash</dd>
<dt><kbd>+</kbd> <kbd>-</kbd> <kbd>0</kbd></dt><dd>nearer, further, everything; also Ctrl and the wheel</dd>
<dt><kbd>t</kbd></dt><dd>steps or time</dd>
<dt><kbd>Esc</kbd></dt><dd>let go of what is pinned</dd>
</dl>
<h2>Signs</h2>
<dl>
<dt>Bars</dt><dd>operations of clients: full is ok, empty has failed for certain, hatched is unknown; framed ones are named by a violation</dd>
<dt>Arrows</dt><dd>messages from where they leave to where they arrive; those that end in a cross never do</dd>
<dt>Hatched lanes</dt><dd>a node that is down, or that stands still</dd>
<dt>Ribbons</dt><dd>trouble of a node's network, disk or clock</dd>
<dt>Triangles</dt><dd>down: a node ends; up, empty: it starts; up, full: it serves</dd>
<dt>Lane names</dt><dd>a click hides or shows the lines of a place</dd>
</dl>
<form method="dialog"><button>Close</button></form>
</dialog>`;

/** The text of a module, for concatenation. */
function withoutModules(source: string): string {
  return source.replace(/^import [^;]*;\n/gm, "").replace(/^export /gm, "");
}

/** JSON that cannot end the element it is embedded in. */
function embeddedJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
