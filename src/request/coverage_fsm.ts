/**
 * Coordinates one coverage query: it asks a set of vnodes that together hold
 * every key (`coverage_plan.ts`), a few at a time, and passes on their chunks
 * as fast as the caller consumes them.
 *
 *     collecting ── all have answered ───────────────────► ended ── told ──► finished
 *        ├───────── a key space is beyond reach (all) ───►   │
 *        ├───────── refused, or deadline ────────────────►   │
 *        └───────── cancel, or the caller is gone ───────────┴────────────► finished
 *
 * The share of one vnode is a _part_. A part that fails is replaced by others,
 * for the key spaces it had not finished: its chunks may then be repeated, and
 * the new parts name the part they repeat.
 *
 * A part is asked for more only once the caller has taken its last batch, and a
 * slot is freed only once the caller has taken a part's final batch. So at most
 * one batch per slot waits here.
 *
 * The shell must report every ask as a batch or a failure, once, and nothing of
 * a part after it was told to cancel it. Bytes in events need only be valid
 * during the step: what is kept is copied.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import { planCoverage } from "../ring/coverage_plan.ts";
import type { RingView } from "../ring/ring_view.ts";
import type { CoverageReport } from "./coverage_report.ts";
import {
  cancelledError,
  FINISHED,
  type LifeEffect,
  type LifeEvent,
  wrongOwnerError,
} from "./request_machine.ts";
import { failureName, isOutOfReach, isRefusal } from "./request_outcome.ts";

/** Vnodes that are asked at a time. */
export const COVERAGE_FAN_OUT = 8;
/** How often the share of a vnode that failed is given to others, counted along the chain. */
export const COVERAGE_REPLANS_MAX = 3;
/** Bytes of an answer to the caller after which no further batch is added. */
export const COVERAGE_PAGE_BYTES = 256 * 1024;
/** How long an idle caller is awaited, in milliseconds. */
export const COVERAGE_CALLER_IDLE_MS = 60_000;
/** How long the end of a query is kept for an idle caller, in milliseconds. */
const COVERAGE_LINGER_MS = 10_000;

/** What a query wants. */
export interface CoverageRule {
  /** How many replicas a key has. */
  readonly n: number;
  /** How many vnodes must report each key space. */
  readonly primaryVnodeCoverage: number;
  /** Whether the query fails if a key space cannot be reached, or goes on without it. */
  readonly mode: "all" | "allup";
  /** Time for everything, in milliseconds. */
  readonly timeoutMs: number;
  /** Time a vnode may be silent, in milliseconds. */
  readonly idleMs: number;
}

/** A timer of the shell: of a part, or for the caller. */
export type CoverageTimer = number | "caller";

/** What happens to a query. `part` is the number of a part. */
export type CoverageEvent =
  | LifeEvent
  /** Chunks of a part, and whether those were its last. */
  | {
    readonly type: "batch";
    readonly part: number;
    readonly bytes: Uint8Array;
    readonly ended: boolean;
  }
  | {
    readonly type: "failed";
    readonly part: number;
    readonly error: WhorlError;
  }
  /** The vnode has moved; `owner` is the node that has it now, if known. */
  | {
    readonly type: "wrong_owner";
    readonly part: number;
    readonly owner: number | undefined;
  }
  /** The node is gone, or silent: its answers are no longer awaited. */
  | {
    readonly type: "node_lost";
    readonly node: number;
    readonly error: WhorlError;
  }
  /** The caller has consumed its page, and asks for more; if the request is `held`, it gets nothing before `released`, except the end. */
  | { readonly type: "demand"; readonly held?: boolean }
  | { readonly type: "released" }
  | { readonly type: "timer"; readonly timer: CoverageTimer };

/** What the shell is to do. */
export type CoverageEffect =
  | LifeEffect
  /** Ask the vnode of the part where `CoverageState.parts` says it is. */
  | { readonly type: "open"; readonly part: number }
  | { readonly type: "more"; readonly part: number }
  /** Tell the vnode to stop, and report nothing more of the part. */
  | { readonly type: "cancel_part"; readonly part: number }
  /** Deliver `timer` so many milliseconds from now; replaces the one it had. */
  | {
    readonly type: "set_timer";
    readonly timer: CoverageTimer;
    readonly afterMs: number;
  }
  | { readonly type: "clear_timer"; readonly timer: CoverageTimer }
  | { readonly type: "respond"; readonly result: CoverageResult };
/** A batch on its way to the caller. */
export interface CoveragePiece {
  readonly part: number;
  readonly bytes: Uint8Array;
}

/** The answer to one demand. */
export type CoverageResult =
  | {
    readonly ok: true;
    readonly pieces: readonly CoveragePiece[];
    /** Given with the last pieces. */
    readonly report: CoverageReport | undefined;
  }
  | { readonly ok: false; readonly error: WhorlError };

/** The share of one vnode. */
export interface CoveragePart {
  readonly partition: number;
  readonly keySpaces: readonly number[];
  /** Whether these are fewer than the vnode holds. */
  readonly filtered: boolean;
  /** The failed part that it replaces, and whose chunks it may repeat. */
  readonly repeats: number | undefined;
  /** Length of the chain of failed parts that it replaces. */
  readonly replans: number;
  /** Index of its node; a different one once the vnode has moved. */
  node: number;
  state: "queued" | "open" | "answered" | "failed";
  error: WhorlError | undefined;
  /** Whether it has said anything. */
  heard: boolean;
  redirected: boolean;
  /** What the caller has not taken yet. */
  batch: Uint8Array | undefined;
}

/** One query; changes in place and has one owner. */
export interface CoverageState {
  phase: "created" | "collecting" | "ended" | "finished";
  readonly rule: CoverageRule;
  readonly view: RingView;
  /** Where plans begin. */
  readonly start: number;
  readonly parts: CoveragePart[];
  /** Parts that have not been asked, in order. */
  queue: number[];
  /** Parts with something for the caller, in order of arrival. */
  ready: number[];
  /** Parts that are open or have something for the caller. */
  occupied: number;
  /** Vnodes that have failed. */
  readonly failedVnodes: Set<number>;
  /** Nodes that are gone. */
  readonly lostNodes: Set<number>;
  /** Nodes that are silent, or of which a vnode was for too long: asked only as a last resort. */
  readonly silentNodes: Set<number>;
  /** Key spaces beyond reach. */
  readonly missing: Set<number>;
  /** Whether the caller waits. */
  demand: boolean;
  /** Whether it waits for others than the vnodes. */
  held: boolean;
  /** Why it ended without an answer. */
  error: WhorlError | undefined;
}

/**
 * A query that has not started; the caller waits, and is told at once that it has.
 *
 * @param start Where the plan begins: best another for each query.
 */
export function createCoverage(
  view: RingView,
  rule: CoverageRule,
  start: number,
): CoverageState {
  return {
    phase: "created",
    rule,
    view,
    start,
    parts: [],
    queue: [],
    ready: [],
    occupied: 0,
    failedVnodes: new Set(),
    lostNodes: new Set(),
    silentNodes: new Set(),
    missing: new Set(),
    demand: true,
    held: false,
    error: undefined,
  };
}

/** Advances the query by one event and appends what is to be done, in order, to `effects`. */
export function stepCoverage(
  query: CoverageState,
  event: CoverageEvent,
  effects: CoverageEffect[],
): void {
  if (query.phase === "finished") return;
  switch (event.type) {
    case "start":
      invariant(query.phase === "created", "a query starts once");
      query.phase = "collecting";
      effects.push({ type: "set_deadline", afterMs: query.rule.timeoutMs });
      plan(query, undefined);
      advance(query, effects);
      // At once, though there are no chunks yet: a query with a number can be
      // cancelled.
      if (query.demand) tell(query, [], undefined, effects);
      return;
    case "batch": {
      const part = openPart(query, event.part);
      if (part === undefined) return;
      effects.push({ type: "clear_timer", timer: event.part });
      if (event.bytes.length > 0) {
        part.heard = true;
        part.batch = event.bytes.slice();
        query.ready.push(event.part);
      }
      if (event.ended) {
        part.state = "answered";
        if (part.batch === undefined) query.occupied--;
      } else if (part.batch === undefined) {
        ask(query, "more", event.part, effects);
      }
      advance(query, effects);
      return;
    }
    case "failed": {
      const part = openPart(query, event.part);
      if (part === undefined) return;
      effects.push({ type: "clear_timer", timer: event.part });
      if (isOutOfReach(event.error)) avoid(query, part.node, event.error);
      partFailed(query, event.part, event.error);
      advance(query, effects);
      return;
    }
    case "wrong_owner": {
      const part = openPart(query, event.part);
      if (part === undefined) return;
      if (event.owner === undefined || part.redirected || part.heard) {
        effects.push({ type: "clear_timer", timer: event.part });
        partFailed(query, event.part, wrongOwnerError());
        advance(query, effects);
        return;
      }
      part.redirected = true;
      part.node = event.owner;
      ask(query, "open", event.part, effects);
      return;
    }
    case "node_lost":
      if (query.phase !== "collecting" || event.node < 0) return;
      avoid(query, event.node, event.error);
      query.parts.forEach((part, number) => {
        if (part.node !== event.node) return;
        if (part.state === "open") {
          effects.push(
            { type: "clear_timer", timer: number },
            { type: "cancel_part", part: number },
          );
        } else if (part.state !== "queued") return;
        partFailed(query, number, event.error);
      });
      advance(query, effects);
      return;
    case "demand":
      query.demand = true;
      query.held = event.held ?? false;
      effects.push({ type: "clear_timer", timer: "caller" });
      advance(query, effects);
      return;
    case "released":
      query.held = false;
      advance(query, effects);
      return;
    case "timer": {
      if (event.timer === "caller") {
        end(query, cancelledError(), effects);
        finish(query, effects);
        return;
      }
      const part = openPart(query, event.timer);
      if (part === undefined) return;
      effects.push({ type: "cancel_part", part: event.timer });
      query.silentNodes.add(part.node);
      partFailed(
        query,
        event.timer,
        new WhorlError(
          "timeout",
          `The vnode of partition ${part.partition} was silent for ${query.rule.idleMs} ms`,
        ),
      );
      advance(query, effects);
      return;
    }
    case "deadline":
      end(query, incomplete(query, "timeout", "in time"), effects);
      advance(query, effects);
      return;
    case "grace_over":
      finish(query, effects);
      return;
    case "cancel":
      end(query, cancelledError(), effects);
      tellEnd(query, effects);
      finish(query, effects);
      return;
    default:
      return event satisfies never;
  }
}

/** Its coverage so far. */
export function coverageReport(query: CoverageState): CoverageReport {
  const { rule, view, parts } = query;
  const counts = new Uint16Array(view.ringSize);
  for (const part of parts) {
    if (!isTold(part)) continue;
    for (const keySpace of part.keySpaces) (counts[keySpace] as number)++;
  }
  const answered: number[] = [];
  const missing: number[] = [];
  counts.forEach((count, keySpace) =>
    (count >= rule.primaryVnodeCoverage ? answered : missing).push(keySpace)
  );
  return {
    complete: missing.length === 0,
    ringVersion: view.version,
    ringSize: view.ringSize,
    asked: parts.map((part) => ({
      partition: part.partition,
      node: view.nodes[part.node] as string,
      keySpaces: part.keySpaces,
      state: isTold(part)
        ? "answered"
        : part.state === "failed"
        ? "failed"
        : "open",
      ...(part.error === undefined ? {} : {
        error: { code: failureName(part.error), message: part.error.message },
      }),
    })),
    answered,
    missing,
  };
}

/** Whether the caller has everything the part was asked for. */
function isTold({ state, batch }: CoveragePart): boolean {
  return state === "answered" && batch === undefined;
}

function openPart(
  query: CoverageState,
  number: number,
): CoveragePart | undefined {
  const part = query.parts[number];
  return query.phase === "collecting" && part?.state === "open"
    ? part
    : undefined;
}

/** Other nodes are preferred to this one; if it is merely silent, it remains the last resort. */
function avoid(query: CoverageState, node: number, error: WhorlError): void {
  const suspected = failureName(error) === "node_suspected";
  (suspected ? query.silentNodes : query.lostNodes).add(node);
}

/** Adds parts for all key spaces, or for those of a part that failed. */
function plan(query: CoverageState, failed: number | undefined): void {
  const { view, rule, parts, failedVnodes, lostNodes, silentNodes } = query;
  const replaced = failed === undefined ? undefined : parts[failed];
  /** Vnodes that report a key space already: asking one twice would count once. */
  const answering = (partition: number, keySpace: number): boolean =>
    parts.some((part) =>
      part.partition === partition && part.state !== "failed" &&
      part.keySpaces.includes(keySpace)
    );
  let keySpaces: Iterable<number> | undefined = replaced?.keySpaces;
  for (const avoided of [silentNodes, undefined]) {
    const { vnodes, missing } = planCoverage({
      ringSize: view.ringSize,
      n: rule.n,
      primaryVnodeCoverage: replaced === undefined
        ? rule.primaryVnodeCoverage
        : 1,
      start: query.start,
      available: (partition, keySpace) => {
        const node = view.owners[partition] as number;
        return view.up[node] === 1 && !lostNodes.has(node) &&
          !avoided?.has(node) && !failedVnodes.has(partition) &&
          !answering(partition, keySpace);
      },
      ...(keySpaces === undefined ? {} : { keySpaces }),
    });
    for (const vnode of vnodes) {
      query.queue.push(parts.length);
      parts.push({
        ...vnode,
        repeats: replaced?.heard ? failed : replaced?.repeats,
        replans: replaced === undefined ? 0 : replaced.replans + 1,
        node: view.owners[vnode.partition] as number,
        state: "queued",
        error: undefined,
        heard: false,
        redirected: false,
        batch: undefined,
      });
    }
    keySpaces = missing;
    if (missing.length === 0 || silentNodes.size === 0) break;
  }
  for (const keySpace of keySpaces ?? []) query.missing.add(keySpace);
}

/** Asks others for what the part owes, if there are any. */
function partFailed(
  query: CoverageState,
  number: number,
  error: WhorlError,
): void {
  const part = query.parts[number] as CoveragePart;
  if (part.state === "queued") {
    query.queue = query.queue.filter((queued) => queued !== number);
  } else if (part.batch === undefined) query.occupied--;
  part.state = "failed";
  part.error = error;
  // A vnode on a node that is only suspected may be in order.
  if (failureName(error) !== "node_suspected") {
    query.failedVnodes.add(part.partition);
  }
  if (isRefusal(error)) {
    query.error ??= error;
    return;
  }
  if (part.replans < COVERAGE_REPLANS_MAX) plan(query, number);
  else for (const keySpace of part.keySpaces) query.missing.add(keySpace);
}

/** Does whatever can be done now: end, pass on, ask. */
function advance(query: CoverageState, effects: CoverageEffect[]): void {
  if (query.phase === "collecting") {
    if (query.error !== undefined) end(query, query.error, effects);
    else if (query.rule.mode === "all" && query.missing.size > 0) {
      end(
        query,
        incomplete(query, "insufficient_vnodes", "for all keys"),
        effects,
      );
    } else {
      handOn(query, effects);
      while (query.queue.length > 0 && query.occupied < COVERAGE_FAN_OUT) {
        query.occupied++;
        const next = query.queue.shift() as number;
        (query.parts[next] as CoveragePart).state = "open";
        ask(query, "open", next, effects);
      }
    }
  }
  if (query.phase === "ended") tellEnd(query, effects);
}

/** Asks the vnode of a part, to begin with or for more. */
function ask(
  query: CoverageState,
  type: "open" | "more",
  part: number,
  effects: CoverageEffect[],
): void {
  // Before the request, which may be answered synchronously.
  effects.push({
    type: "set_timer",
    timer: part,
    afterMs: query.rule.idleMs,
  }, { type, part });
}

/** Gives a waiting caller the batches there are, and the report with the last of them. */
function handOn(query: CoverageState, effects: CoverageEffect[]): void {
  if (!query.demand || query.held) return;
  const pieces: CoveragePiece[] = [];
  const taken: number[] = [];
  let bytes = 0;
  while (query.ready.length > 0 && bytes < COVERAGE_PAGE_BYTES) {
    const number = query.ready.shift() as number;
    const part = query.parts[number] as CoveragePart;
    const batch = part.batch as Uint8Array;
    part.batch = undefined;
    bytes += batch.length;
    pieces.push({ part: number, bytes: batch });
    if (part.state === "open") taken.push(number);
    else query.occupied--;
  }
  const done = query.occupied === 0 && query.queue.length === 0;
  if (pieces.length === 0 && !done) return;
  tell(query, pieces, done ? coverageReport(query) : undefined, effects);
  if (done) finish(query, effects);
  else for (const part of taken) ask(query, "more", part, effects);
}

/** Answers the caller, which asks again unless it gets the report. */
function tell(
  query: CoverageState,
  pieces: readonly CoveragePiece[],
  report: CoverageReport | undefined,
  effects: CoverageEffect[],
): void {
  query.demand = false;
  effects.push({ type: "respond", result: { ok: true, pieces, report } });
  if (report !== undefined) return;
  effects.push({
    type: "set_timer",
    timer: "caller",
    afterMs: COVERAGE_CALLER_IDLE_MS,
  });
}

/** Ends without an answer, cancelling the parts under way. */
function end(
  query: CoverageState,
  error: WhorlError,
  effects: CoverageEffect[],
): void {
  if (query.phase === "ended") return;
  query.phase = "ended";
  query.error = error;
  query.queue = [];
  query.ready = [];
  query.parts.forEach((part, number) => {
    part.batch = undefined;
    if (part.state !== "open") return;
    effects.push(
      { type: "clear_timer", timer: number },
      { type: "cancel_part", part: number },
    );
  });
  effects.push(
    { type: "clear_timer", timer: "caller" },
    { type: "set_grace", afterMs: COVERAGE_LINGER_MS },
  );
}

/** Tells a waiting caller how the query ended. */
function tellEnd(query: CoverageState, effects: CoverageEffect[]): void {
  if (!query.demand || query.error === undefined) return;
  query.demand = false;
  effects.push({ type: "respond", result: { ok: false, error: query.error } });
  finish(query, effects);
}

function finish(query: CoverageState, effects: CoverageEffect[]): void {
  if (query.phase === "finished") return;
  query.phase = "finished";
  effects.push(FINISHED);
}

/**
 * The failure of a query that has not covered everything: `details.coverage` is
 * its report, `details.keySpaces` are those that could not be reached.
 */
function incomplete(
  query: CoverageState,
  code: "timeout" | "insufficient_vnodes",
  how: string,
): WhorlError {
  const coverage = coverageReport(query);
  const beyond = query.missing.size > 0
    ? [...query.missing].sort((a, b) => a - b)
    : coverage.missing;
  const cause = coverage.asked.findLast(({ error }) => error !== undefined);
  return new WhorlError(
    code,
    `Cannot answer a coverage query ${how} as every key space must be answered for by ${query.rule.primaryVnodeCoverage}: ${beyond.length} of ${coverage.ringSize} are not${
      cause?.error === undefined
        ? ""
        : `, one as partition ${cause.partition} on ${cause.node} failed: ${cause.error.message}`
    }`,
    { details: { coverage, keySpaces: beyond } },
  );
}
