import { assert, assertEquals, assertMatch } from "@std/assert";
import { TOY_SCHEDULE } from "../testing/toy_schedule.ts";
import { runToy } from "../testing/toy_cluster.ts";
import { renderTracePage, TRACE_PAGE_EVENTS_MAX } from "./trace_page.ts";
import { layLanes, ribbonSlots } from "./page/drawing.js";
import { firstAtLeast, lineFilter, selectRows } from "./page/rows.js";
import { formatMs, roundStep, ROW_HEIGHT, Scale } from "./page/scale.js";

const result = await runToy(TOY_SCHEDULE, { trace: true });
const page = renderTracePage(result, { commit: "0123abc" });

function dataOf(html: string): {
  events: [number, number, number, string][];
  places: string[];
  kinds: string[];
  violations: { event?: number; operations: number[] }[];
} {
  const [, text] = /<script type="application\/json" id="data">(.*?)<\/script>/s
    .exec(html) ?? [];
  return JSON.parse(text as string);
}

Deno.test("renderTracePage() contains every event, and references nothing outside itself", () => {
  const { events, places, kinds } = dataOf(page);
  assertEquals(
    events.map(([atMs, place, kind, text]) =>
      `${atMs} ${places[place]} ${kinds[kind]} ${text}`
    ),
    result.trace.events.map(({ atMs, place, kind, text }) =>
      `${Number(atMs.toFixed(3))} ${place} ${kind} ${text}`
    ),
  );
  assert(!/(src|href)="(?!data:,)|@import|url\(|https?:/.test(page));
  assertMatch(page, /default-src 'none'/);
});

Deno.test("renderTracePage() contains a program that a browser can parse", () => {
  const [, program = ""] =
    /<script type="module">(.*?)<\/script>/s.exec(page) ?? [];
  assertMatch(program, /^showTrace\(/m);
  assert(!/^\s*(import|export)\b/m.test(program));
  // Compiles it without running it.
  assertEquals(typeof new Function(`"use strict"; ${program}`), "function");
});

Deno.test("renderTracePage() escapes the texts of a trace", () => {
  const evil = '</script><img src=x onerror="alert(1)">&';
  const bad = {
    ...result,
    schedule: { ...result.schedule, seed: evil },
    violations: [{ check: evil, message: evil }],
  };
  bad.trace.add("world", "log", evil);
  const html = renderTracePage(bad, { commit: evil, replay: evil });
  assertEquals(html.split("</script>").length, page.split("</script>").length);
  assertEquals(html.includes("<img"), false);
  assertEquals(dataOf(html).events.at(-1)?.[3], evil);
});

Deno.test("renderTracePage() links a violation to its event and operations", () => {
  const { violations, events, kinds } = dataOf(page);
  assertEquals(violations.length, result.violations.length);
  for (const [index, { event, operations }] of violations.entries()) {
    assertEquals(operations, [...result.violations[index]?.operations ?? []]);
    assertEquals(kinds[events[event as number]?.[2] as number], "violation");
  }
});

Deno.test("renderTracePage() drops the oldest events of a trace that is too long, and says so", async () => {
  const operations = Array.from({ length: 40_000 }, (_, number) => number);
  const schedule = { ...TOY_SCHEDULE, operations };
  const long = await runToy(schedule, { trace: true });
  const left = long.trace.events.length - TRACE_PAGE_EVENTS_MAX;
  assert(left > 0);
  const html = renderTracePage(long);
  assertEquals(dataOf(html).events.length, TRACE_PAGE_EVENTS_MAX);
  assert(html.includes(`the first ${left} events are left out`));
});

Deno.test("lineFilter() requires every word, excludes those after a dash, and treats a quoted text as one word", () => {
  const lines = ["n1 send put 3", "n2 log info put", "n2 send ack 3"];
  const kept = (text: string) => lines.filter(lineFilter(text));
  assertEquals(kept(""), lines);
  assertEquals(kept("PUT"), lines.slice(0, 2));
  assertEquals(kept("n2 -log"), lines.slice(2));
  assertEquals(kept('"put 3"'), lines.slice(0, 1));
  assertEquals(kept('-"put 3" 3'), lines.slice(2));
  assertEquals(kept("-"), lines);
});

Deno.test("selectRows() numbers the visible lines", () => {
  const { rows, ranks } = selectRows(["a", "b", "ab", "b"], {
    filter: lineFilter("b"),
    placeOf: ["n1", "n1", "n2", "n2"],
    kindOf: ["send", "log", "send", "send"],
    hiddenPlaces: new Set(),
    hiddenKinds: new Set(["log"]),
  });
  assertEquals(rows, [2, 3]);
  assertEquals([...ranks], [0, 0, 0, 1, 2]);
});

Deno.test("firstAtLeast() finds the first value that is not smaller", () => {
  assertEquals(
    [0, 1, 2, 5, 9].map((value) => firstAtLeast([1, 2, 2, 5], value)),
    [0, 0, 1, 3, 4],
  );
});

function scaleOf(times: number[]): Scale {
  const scale = new Scale(times);
  scale.height = 100;
  const rows = times.map((_, index) => index);
  scale.setRows(rows, Float64Array.from([...rows, rows.length]));
  return scale;
}

Deno.test("Scale places an event where rowAt() finds it, in steps and by time", () => {
  const scale = scaleOf([0, 1, 2, 50, 51, 1_000]);
  for (const mode of ["steps", "time"]) {
    scale.setMode(mode, 3);
    for (let index = 0; index < 6; index++) {
      assertEquals(
        scale.rowAt(scale.y(index) - 0.001),
        index,
        `${mode} ${index}`,
      );
    }
  }
});

Deno.test("Scale.zoom() keeps the row under the pointer in place", () => {
  const scale = scaleOf(
    Array.from({ length: 500 }, (_, index) => index * index),
  );
  scale.moveTo(100);
  const before = scale.timeAt(30);
  scale.zoom(1.7, 30);
  assertEquals(scale.timeAt(30), before);
  scale.zoom(1e-9, 0);
  assertEquals(scale.unit, scale.fitting);
});

Deno.test("Scale.reveal() scrolls an event into view by whole lines, unless it is visible", () => {
  const scale = scaleOf(Array.from({ length: 500 }, (_, index) => index));
  scale.reveal(300, true);
  assert(scale.y(300) > 0 && scale.y(300) < 100);
  assertEquals(scale.top * ROW_HEIGHT % ROW_HEIGHT, 0);
  const { top } = scale;
  scale.reveal(300);
  assertEquals(scale.top, top);
});

Deno.test("roundStep() and formatMs() make a readable axis", () => {
  assertEquals([0.3, 1, 1.1, 3, 7, 60].map(roundStep), [0.5, 1, 2, 5, 10, 100]);
  assertEquals(formatMs(1234567.25, 0.1), "1\u202f234\u202f567.3");
  assertEquals(formatMs(999, 50), "999");
});

Deno.test("layLanes() divides the width among nodes and never makes a lane too narrow", () => {
  const lanes = [
    { name: "world", role: "world" },
    { name: "c1", role: "client" },
    { name: "n1", role: "node" },
    { name: "n2", role: "node" },
  ];
  const wide = layLanes(lanes, 600);
  const narrow = layLanes(lanes, 10);
  const width = (layout: typeof wide, name: string): number =>
    layout.lanes.get(name).width;
  assertEquals(width(wide, "n1"), width(wide, "n2"));
  assert(width(wide, "n1") > width(narrow, "n1"));
  assert(width(narrow, "n1") > 50);
});

Deno.test("ribbonSlots() puts ribbons side by side only while they overlap", () => {
  const span = (begin: number, end: number) => ({
    kind: "network",
    hosts: ["n1"],
    begin,
    end,
  });
  const slots = ribbonSlots([span(0, 5), span(3, 9), span(6, 8)]);
  assertEquals([...slots.values()], [0, 1, 0]);
});
