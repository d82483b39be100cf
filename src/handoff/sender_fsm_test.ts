import { assertEquals } from "@std/assert";
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { HandoffProgress, TOTAL_UNKNOWN } from "../vnode/handoff_codec.ts";
import {
  createSender,
  SEND_WINDOW,
  type SenderEffect,
  type SenderEvent,
  type SenderState,
  stepSender,
  SWITCH_PAUSE_MS,
  SWITCH_PAUSE_MS_MAX,
} from "./sender_fsm.ts";

const { more, nearlyAll, waiting } = HandoffProgress;
const BATCH = Uint8Array.of(1);

function show(effects: readonly SenderEffect[]): string {
  return effects.map((effect) => {
    switch (effect.type) {
      case "next":
        return `next ${effect.acked}${effect.repeat ? " again" : ""}`;
      case "send":
      case "tell_acknowledged":
        return `${effect.type} ${effect.number}`;
      case "close":
        return `close ${effect.items} ${effect.hash}`;
      case "set_pause":
        return `pause ${effect.afterMs}`;
      case "progress":
        return `progress ${effect.items}/${effect.total ?? "?"}`;
      case "state":
        return effect.state;
      case "done": {
        const { outcome } = effect;
        return outcome.type === "completed"
          ? `completed ${outcome.items}`
          : `failed ${outcome.code}${outcome.resumable ? ", resumable" : ""}`;
      }
      default:
        return effect.type;
    }
  }).join(", ");
}

const start: SenderEvent = { type: "start" };
const closed: SenderEvent = { type: "closed" };
const finished: SenderEvent = { type: "finished" };
const pauseOver: SenderEvent = { type: "pause_over" };

function opened(
  how: "begun" | "resumed" | "not_now" = "begun",
  { sendsCommands = false, empty = false } = {},
): SenderEvent {
  return { type: "opened", how, sendsCommands, empty };
}

function connected(number = 0): SenderEvent {
  return { type: "connected", number };
}

/** Batch `number`, up to which there are ten items each; with no entries it is the last one's number. */
function said(
  number: number,
  progress: number = more,
  entries = 10,
  total = TOTAL_UNKNOWN,
): SenderEvent {
  return {
    type: "said",
    progress,
    items: number * 10,
    bytes: number * 100,
    hash: number * 7,
    total,
    number,
    entries,
    batch: BATCH,
  };
}

function acknowledged(number: number): SenderEvent {
  return { type: "acknowledged", number };
}

function switched(quiet: boolean): SenderEvent {
  return { type: "switched", quiet };
}

function failed(code: ErrorCode, at: "source" | "target"): SenderEvent {
  return { type: "failed", at, error: new WhorlError(code, "It broke") };
}

function stop(resumable: boolean): SenderEvent {
  return { type: "stop", resumable, reason: "enough" };
}

/** Steps a transfer through the table. */
function run(
  table: readonly [SenderEvent, string][],
  sender: SenderState = createSender({ moves: true, tells: true }),
): SenderState {
  for (const [event, expected] of table) {
    assertEquals(
      show(stepSender(sender, event)),
      expected,
      JSON.stringify(event),
    );
  }
  return sender;
}

/** Up to the first request for a batch. */
const begun: [SenderEvent, string][] = [
  [start, "open"],
  [opened(), "connecting, connect"],
  [connected(), "sending, next 0"],
];
/** Up to where the source stands still and everything has arrived. */
const drained: [SenderEvent, string][] = [
  ...begun,
  [said(1, nearlyAll), "send 1, switching, switch, next 0"],
  [acknowledged(1), "progress 10/?, tell_acknowledged 1"],
  [switched(true), ""],
  [said(1, nearlyAll, 0), "close 10 7"],
];

Deno.test("stepSender() sends what there is, has the source stand still for the rest, and finishes when the target has all", () => {
  run([
    ...begun,
    [said(1), "send 1, next 0"],
    [acknowledged(1), "progress 10/?, tell_acknowledged 1"],
    [said(2, nearlyAll, 10, 25), "send 2, switching, switch, next 1"],
    [switched(true), ""],
    [said(3, more), "send 3, next 1"],
    [acknowledged(2), "progress 20/?, tell_acknowledged 2"],
    // It processes batches in flight before it answers.
    [said(3, nearlyAll, 0), "close 30 21"],
    [acknowledged(3), "progress 30/?, tell_acknowledged 3"],
    [closed, "finish"],
    [finished, "completed 30"],
    [finished, ""],
  ]);
});

Deno.test("stepSender() has at most SEND_WINDOW batches without an acknowledgement", () => {
  const sender = run(begun);
  for (let number = 1; number < SEND_WINDOW; number++) {
    run([[said(number), `send ${number}, next 0`]], sender);
  }
  run([
    [said(SEND_WINDOW), `send ${SEND_WINDOW}`],
    [acknowledged(1), "progress 10/?, next 1"],
    // Duplicate and late acknowledgements change nothing.
    [acknowledged(1), ""],
    [said(SEND_WINDOW + 1), `send ${SEND_WINDOW + 1}`],
    [acknowledged(3), "progress 30/?, next 3"],
  ], sender);
  assertEquals([...sender.counts.keys()], [4, 5]);
});

Deno.test("stepSender() shows the total as soon as the source has counted", () => {
  run([
    ...begun,
    [said(1, more, 10, 99), "send 1, next 0"],
    [acknowledged(1), "progress 10/99, tell_acknowledged 1"],
  ]);
});

Deno.test("stepSender() asks the source again when it had nothing ready", () => {
  run([
    ...begun,
    [said(0, waiting, 0), "next 0"],
    [said(0, waiting, 0), "next 0"],
    [said(1, more), "send 1, next 0"],
  ]);
});

/** A transfer that need not be told of if there is nothing to send. */
const untold = (): SenderState => createSender({ moves: true, tells: false });

Deno.test("stepSender() does not contact a target that need not be told, if the vnode is empty", () => {
  run([
    [start, "open"],
    [opened("begun", { empty: true }), "switching, switch, next 0"],
    [switched(true), ""],
    [said(0, nearlyAll, 0), "finish"],
    [finished, "completed 0"],
  ], untold());
});

Deno.test("stepSender() offers an empty vnode to a target that must be told, and ends with its consent", () => {
  run([
    [start, "open"],
    [opened("begun", { empty: true }), "connecting, connect"],
    [connected(), "sending, next 0"],
    [said(0, nearlyAll, 0), "switching, switch, next 0"],
    [switched(true), ""],
    [said(0, nearlyAll, 0), "close 0 0"],
    [closed, "finish"],
    [finished, "completed 0"],
  ]);
  // It is not reachable, and the next attempt is told of it too.
  run([
    [start, "open"],
    [opened("begun", { empty: true }), "connecting, connect"],
    [
      failed("not_reachable", "target"),
      "failed not_reachable, resumable",
    ],
  ]);
  run([
    [start, "open"],
    [opened("resumed", { empty: true }), "connecting, connect"],
    [connected(), "sending, next 0 again"],
    [said(0, nearlyAll, 0), "switching, switch, next 0"],
    [switched(true), ""],
    [said(0, nearlyAll, 0), "close 0 0"],
  ]);
  // It is written to meanwhile.
  run([
    [start, "open"],
    [opened("begun", { empty: true }), "connecting, connect"],
    [connected(), "sending, next 0"],
    [said(1, nearlyAll), "send 1, switching, switch, next 0"],
  ]);
});

Deno.test("stepSender() connects if an empty vnode was written to, or did not become quiet", () => {
  run([
    [start, "open"],
    [opened("begun", { empty: true }), "switching, switch, next 0"],
    [switched(true), ""],
    [said(1, nearlyAll), "connecting, connect"],
    [connected(), "switching, next 0 again"],
    [said(1, nearlyAll), "send 1, close 10 7"],
    [acknowledged(1), "progress 10/?, tell_acknowledged 1"],
    [closed, "finish"],
  ], untold());
  run([
    [start, "open"],
    [opened("begun", { empty: true }), "switching, switch, next 0"],
    [switched(false), `connecting, connect, pause ${SWITCH_PAUSE_MS}`],
    // What was read before there was a target is read again.
    [said(1, more), ""],
    [connected(), "sending"],
    [pauseOver, "next 0 again"],
  ], untold());
});

Deno.test("stepSender() tells the target that a copy has ended, even an empty one, without making the source stand still", () => {
  run([
    [start, "open"],
    [opened("begun", { empty: true }), "connecting, connect"],
    [connected(), "sending, next 0"],
    [said(0, nearlyAll, 0), "close 0 0"],
    [closed, "finish"],
    [finished, "completed 0"],
  ], createSender({ moves: false, tells: true }));
});

Deno.test("stepSender() lets a source that is not quiet serve for a pause that doubles, whatever is acknowledged meanwhile", () => {
  const sender = run(begun);
  let pauseMs = SWITCH_PAUSE_MS;
  for (let number = 1; number <= 12; number++) {
    run([
      [
        said(number, nearlyAll),
        `send ${number}, switching, switch, next ${number - 1}`,
      ],
      [switched(false), `sending, pause ${pauseMs}`],
      [said(number, more, 0), ""],
      [
        acknowledged(number),
        `progress ${number}0/?, tell_acknowledged ${number}`,
      ],
      [pauseOver, `next ${number}`],
    ], sender);
    pauseMs = Math.min(SWITCH_PAUSE_MS_MAX, 2 * pauseMs);
  }
  assertEquals(pauseMs, SWITCH_PAUSE_MS_MAX);
});

Deno.test("stepSender() continues a resumed transfer where it was", () => {
  run([
    [start, "open"],
    [opened("resumed"), "connecting, connect"],
    [connected(3), "sending, next 3 again"],
    [said(4), "send 4, next 3"],
    [acknowledged(4), "progress 40/?, tell_acknowledged 4"],
  ]);
});

Deno.test("stepSender() asks the target whether it has everything, even if a resumed transfer has nothing more to send", () => {
  // The target has restarted, and has nothing of what it acknowledged.
  run([
    [start, "open"],
    [opened("resumed"), "connecting, connect"],
    [connected(0), "sending, next 0 again"],
    [said(5, nearlyAll, 0), "switching, switch, next 0"],
    [switched(true), ""],
    [said(5, nearlyAll, 0), "close 50 35"],
    [failed("handoff_mismatch", "target"), "abandon, failed handoff_mismatch"],
  ]);
});

Deno.test("stepSender() starts over under another number if the source restarted and the target did not", () => {
  run([
    [start, "open"],
    [opened("begun"), "connecting, connect"],
    [connected(3), "abandon, failed handoff_mismatch"],
  ]);
});

Deno.test("stepSender() ends at once if the module refuses the handoff", () => {
  run([[start, "open"], [opened("not_now"), "failed handoff_refused"], [
    opened(),
    "",
  ]]);
});

Deno.test("stepSender() can be resumed after losing the target, and starts over if either end lost the transfer", () => {
  for (
    const code of ["connection_closed", "timeout", "vnode_crashed"] as const
  ) {
    run([...begun, [failed(code, "target"), `failed ${code}, resumable`]]);
    run([...begun, [failed(code, "source"), `abandon, failed ${code}`]]);
  }
  for (const code of ["handoff_mismatch", "protocol_error"] as const) {
    run([...begun, [failed(code, "target"), `abandon, failed ${code}`]]);
  }
});

Deno.test("stepSender() never resumes where commands wait for the target", () => {
  run([
    [start, "open"],
    [opened("begun", { sendsCommands: true }), "connecting, connect"],
    [connected(), "sending, next 0"],
    [
      failed("connection_closed", "target"),
      "abandon, failed connection_closed",
    ],
  ]);
});

Deno.test("stepSender() releases a source that stands still, or was asked to", () => {
  run([
    ...begun,
    [said(1, nearlyAll), "send 1, switching, switch, next 0"],
    [
      failed("connection_closed", "target"),
      "let_go_on, failed connection_closed, resumable",
    ],
    [switched(true), ""],
  ]);
  run([
    ...drained,
    [
      failed("connection_closed", "target"),
      "let_go_on, failed connection_closed, resumable",
    ],
    [closed, ""],
  ]);
});

Deno.test("stepSender() can be stopped in each phase except the last, for now or for good", () => {
  const phases: [string, [SenderEvent, string][], boolean][] = [
    ["opening", begun.slice(0, 1), false],
    ["connecting", begun.slice(0, 2), false],
    ["sending", begun, false],
    ["switching", drained.slice(0, 4), true],
    ["draining", drained.slice(0, 6), true],
    ["closing", drained, true],
  ];
  for (const [phase, table, still] of phases) {
    const sender = run(table);
    run([[
      stop(true),
      `${still ? "let_go_on, " : ""}failed cancelled, resumable`,
    ], [stop(false), ""]], sender);
    run([[stop(false), "abandon, failed cancelled"]], run(table));
    assertEquals(sender.phase, "done", phase);
  }
  run([
    ...drained,
    [closed, "finish"],
    [stop(false), ""],
    [stop(true), ""],
    // Nothing is asked of the target any more.
    [failed("timeout", "target"), ""],
    [finished, "completed 10"],
  ]);
  run([
    ...drained,
    [closed, "finish"],
    [failed("handoff_mismatch", "source"), "abandon, failed handoff_mismatch"],
  ]);
});

Deno.test("stepSender() spreads, reports once that nearly everything is copied, and follows until the ring has changed", () => {
  run(
    [
      [start, "open"],
      [opened(), "sending, next 0"],
      [said(1), "send 1, next 0"],
      [said(2, nearlyAll), "send 2, next 0"],
      [acknowledged(1), "progress 10/?, tell_acknowledged 1"],
      [acknowledged(2), "progress 20/?, tell_acknowledged 2, copied"],
      // Nothing was written for a while.
      [said(2, waiting, 0), "next 2"],
      [said(3, nearlyAll), "send 3, next 2"],
      [acknowledged(3), "progress 30/?, tell_acknowledged 3"],
      // The pending request is answered first.
      [{ type: "ring_changed" }, ""],
      [said(3, waiting, 0), "switching, switch, next 3"],
      [switched(true), ""],
      [said(4), "send 4, next 3"],
      [said(4, nearlyAll, 0), ""],
      [acknowledged(4), "progress 40/?, tell_acknowledged 4, finish"],
      [finished, "completed 40"],
    ],
    createSender({ moves: true, tells: false, spreads: true, follows: true }),
  );
});

Deno.test("stepSender() spreads data of a former ring without following", () => {
  run(
    [
      [start, "open"],
      [opened("begun", { empty: true }), "sending, next 0"],
      [said(0, nearlyAll, 0), "switching, switch, next 0"],
      [switched(false), `sending, pause ${SWITCH_PAUSE_MS}`],
      [said(0, nearlyAll, 0), ""],
      [pauseOver, "switching, switch, next 0"],
      [switched(true), ""],
      [said(0, nearlyAll, 0), "finish"],
      [finished, "completed 0"],
    ],
    createSender({ moves: true, tells: false, spreads: true }),
  );
});

Deno.test("stepSender() resumes a broken spread, resending what was not acknowledged", () => {
  run(
    [
      [start, "open"],
      [opened("resumed"), "sending, next 0 again"],
      [said(7), "send 7"],
      [acknowledged(7), "progress 70/?, next 7"],
      [said(7, nearlyAll, 0), "copied, next 7"],
      [
        failed("connection_closed", "target"),
        "failed connection_closed, resumable",
      ],
    ],
    createSender({ moves: true, tells: false, spreads: true, follows: true }),
  );
});

Deno.test("stepSender() reports that nearly everything is copied, however long the rest takes", () => {
  run(
    [
      [start, "open"],
      [opened(), "sending, next 0"],
      [said(1, nearlyAll), "send 1, next 0"],
      [said(1, waiting, 0), "next 0"],
      [acknowledged(1), "progress 10/?, tell_acknowledged 1, copied"],
    ],
    createSender({ moves: true, tells: false, spreads: true, follows: true }),
  );
});
