import { assertEquals } from "@std/assert";
import type { TraceEvent } from "./trace.ts";
import { timelineOf } from "./trace_timeline.ts";

/**
 * Events from lines of place, kind and text; a text of a message begins with
 * `#1 a>b`.
 */
function events(...lines: string[]): TraceEvent[] {
  return lines.map((line, atMs) => {
    const [place = "", kind = "", ...rest] = line.split(" ");
    const text = rest.join(" ");
    const [, id, from, to] = /^#(\d+) (\w+)>(\w+)/.exec(text) ?? [];
    return from === undefined || to === undefined
      ? { atMs, place, kind, text }
      : { atMs, place, kind, text, message: { id: Number(id), from, to } };
  });
}

const spansOf = (...lines: string[]) =>
  timelineOf(events(...lines), [], []).spans.map((
    { kind, hosts, begin, end },
  ) => [
    kind,
    hosts.join(),
    begin,
    end,
  ]);

Deno.test("timelineOf() pairs the sending of a message with its arrival", () => {
  const { messages } = timelineOf(
    events(
      "n1 send #1 n1>n2",
      "n2 send #2 n2>n1",
      "n1 receive #2 n2>n1",
      "n2 receive #1 n1>n2",
    ),
    [],
    [],
  );
  assertEquals(messages.map(({ id, sent, received }) => [id, sent, received]), [
    [1, 0, 3],
    [2, 1, 2],
  ]);
});

Deno.test("timelineOf() leaves a lost message without arrival, and treats a retransmission as another message", () => {
  const { messages } = timelineOf(
    events(
      "n1 send #1 n1>n2",
      "n1 lost #1 n1>n2",
      "n1 send #1 n1>n2",
      "n2 receive #1 n1>n2",
      "n1 send #2 n1>n2",
    ),
    [],
    [],
  );
  assertEquals(
    messages.map(({ id, sent, received, lost }) => [id, sent, received, lost]),
    [
      [1, 0, undefined, 1],
      [1, 2, 3, undefined],
      [2, 4, undefined, undefined],
    ],
  );
});

Deno.test("timelineOf() sees a message that a node sends to itself arrive", () => {
  const { messages } = timelineOf(
    events(
      "n1 send #1 n1>n1",
      "n1 lost #1 n1>n1",
      "n1 send #2 n1>n1",
      "n1 receive #2 n1>n1",
    ),
    [],
    [],
  );
  assertEquals(messages.map(({ received, lost }) => [received, lost]), [
    [undefined, 1],
    [3, undefined],
  ]);
});

Deno.test("timelineOf() shows a node down from its end until it serves again", () => {
  assertEquals(
    spansOf(
      "n1 fault is killed",
      "n1 start life 2",
      "n1 up n1:1",
      "n2 end crash",
      "n2 fault is killed",
    ),
    [["down", "n1", 0, 2], ["down", "n2", 3, undefined]],
  );
});

Deno.test("timelineOf() pairs faults with their ends by their text, even if one is active twice", () => {
  const slow = "n1 to n3 takes 10 ms more for 50 ms";
  assertEquals(
    spansOf(
      `world fault ${slow}`,
      `world fault ${slow}`,
      `world fault_end ${slow}`,
      "world fault the clock of n2 is off by 5 s for 9 ms",
      `world fault_end ${slow}`,
      "world fault connections between n1 and n2 break",
      "world fault n1 is killed and down for 5 ms",
      "world fault n2 stands still for 70 ms",
      "world fault the disk of n1 is full for 9 ms",
      "world heal all faults end",
    ),
    [
      ["network", "n1,n3", 0, 2],
      ["network", "n1,n3", 1, 4],
      ["clock", "n2", 3, 9],
      ["network", "n1,n2", 5, 5],
      ["pause", "n2", 7, 9],
      ["disk", "n1", 8, 9],
    ],
  );
});

Deno.test("timelineOf() finds the ends of operations, and those that a violation names", () => {
  const record = (id: number) => ({
    id,
    client: "c1",
    key: "k",
    input: { type: "get" },
    invokedAtMs: 0,
    returnedAtMs: undefined,
    outcome: "unknown" as const,
    output: undefined,
    error: undefined,
  });
  const { operations } = timelineOf(
    events("c1 invoke 1 k get", "c1 unknown 1 k timeout", "c1 invoke 12 k get"),
    [record(0), record(1), record(12)],
    [{ check: "stale", message: "", operations: [12] }, {
      check: "other",
      message: "",
    }],
  );
  assertEquals(
    operations.map((
      { id, begin, end, violated },
    ) => [id, begin, end, violated]),
    [
      [1, 0, 1, false],
      [12, 2, undefined, true],
    ],
  );
});

Deno.test("timelineOf() puts the world first, then clients, then nodes, by number", () => {
  const { lanes } = timelineOf(
    events("n10 up x", "n2 send #1 n2>n9", "world load x", "c1 invoke 0 k"),
    [{
      id: 0,
      client: "c1",
      key: "k",
      input: 0,
      invokedAtMs: 0,
      returnedAtMs: undefined,
      outcome: "unknown",
      output: undefined,
      error: undefined,
    }],
    [],
  );
  assertEquals(lanes.map(({ name }) => name), [
    "world",
    "c1",
    "n2",
    "n9",
    "n10",
  ]);
});
