/**
 * Decides which transfers of a node run and which wait: within the limit for
 * inbound and outbound together; failed ones after a pause; repairs before
 * hints before ownership, each in order of partition. A vnode sends one
 * transfer at a time.
 *
 * A transfer of a resize has sent everything long before the ring changes. From
 * then on it _follows_: it forwards new writes, and does not count towards the
 * limit.
 *
 * @module
 */
import type {
  HandoffConfig,
  TransferDirection,
  TransferKind,
} from "./transfer.ts";
import {
  sameDecision,
  transferName,
  type WantedTransfer,
} from "./transfer_plan.ts";

/** Default of {@linkcode HandoffConfig.concurrency}. */
export const CONCURRENCY_DEFAULT = 4;
/** Highest {@linkcode HandoffConfig.concurrency}. */
export const CONCURRENCY_MAX = 1_024;
/**
 * First and longest pause after a failure, in milliseconds; the pause doubles
 * in between.
 */
export const RETRY_MS_MIN = 100;
/** See {@linkcode RETRY_MS_MIN}. */
export const RETRY_MS_MAX = 10_000;
/**
 * Longest pause of a transfer whose target has no room or does not know of it
 * yet, in milliseconds, if it was refused at once.
 */
export const REFUSED_MS_MAX = 400;
/** First pause after such a refusal. */
export const REFUSED_MS_MIN = 10;
/**
 * The pause is at least this many times as long as the refusal took: if that
 * takes seconds, asking again soon would leave no time for accepted transfers.
 */
export const REFUSED_REST = 4;

const PRIORITY: Record<TransferKind, number> = {
  repair: 0,
  hinted: 1,
  resize: 2,
  ownership: 3,
};

/** Events. */
export type ManagerEvent =
  /** All transfers that should be made now; others are dropped. */
  | { readonly type: "wanted"; readonly transfers: readonly WantedTransfer[] }
  /** A running transfer has completed. */
  | { readonly type: "completed"; readonly name: string }
  /** A running transfer has sent everything, and forwards new writes. */
  | { readonly type: "follows"; readonly name: string }
  | {
    readonly type: "failed";
    readonly name: string;
    /** Whether it was refused by its target, not broken off. */
    readonly refused: boolean;
    /**
     * Whether a waiting inbound transfer gets the slot: otherwise two full
     * nodes would refuse each other forever.
     */
    readonly yields: boolean;
    readonly reason: string;
    /**
     * In [0, 1), so that transfers that failed together are not retried
     * together.
     */
    readonly jitter: number;
  }
  /** The current number of inbound transfers. */
  | { readonly type: "inbound"; readonly count: number }
  | { readonly type: "concurrency"; readonly concurrency: number }
  | {
    readonly type: "enabled";
    readonly direction: TransferDirection;
    readonly enabled: boolean;
  }
  /** Time has passed. */
  | { readonly type: "tick" };

/** Effects, to be performed in this order. */
export type ManagerEffect =
  | {
    readonly type: "begin";
    readonly name: string;
    readonly transfer: WantedTransfer;
  }
  | {
    readonly type: "stop";
    readonly name: string;
    /** Whether it will be started again. */
    readonly resumable: boolean;
    readonly reason: string;
  }
  /** It is no longer wanted: the remains of earlier attempts can go. */
  | {
    readonly type: "forget";
    readonly name: string;
    readonly transfer: WantedTransfer;
  }
  /** A transfer that follows, or will, should finish: the ring has changed. */
  | { readonly type: "finish"; readonly name: string }
  /** Break off that many inbound transfers. */
  | { readonly type: "stop_inbound"; readonly count: number }
  /** Call again with `tick`. */
  | { readonly type: "set_timer"; readonly atMs: number };

/** The state of one transfer. */
export interface ManagedTransfer {
  wanted: WantedTransfer;
  /** `stopping` ends with `completed` or `failed`. */
  phase: "waiting" | "running" | "following" | "stopping";
  /**
   * Whether its sender follows when it has sent everything, instead of ending.
   */
  follows: boolean;
  /** How often it was broken off. */
  failures: number;
  /**
   * How often it was refused, which is not a failure: the target is busy, or
   * has not heard of it yet.
   */
  refusals: number;
  /** When it was last started. */
  beganMs: number;
  notBeforeMs: number;
  reason: string | null;
  /** Whether it is no longer wanted. */
  dropped: boolean;
}

/** The manager of one node. */
export interface ManagerState {
  config: HandoffConfig;
  inbound: number;
  /** By name. */
  readonly transfers: Map<string, ManagedTransfer>;
}

/** A manager without transfers. */
export function createManager(config: HandoffConfig): ManagerState {
  return { config, inbound: 0, transfers: new Map() };
}

/** Advances the manager by one event; `manager` has one owner and changes in place. */
export function stepManager(
  manager: ManagerState,
  event: ManagerEvent,
  nowMs: number,
): ManagerEffect[] {
  switch (event.type) {
    case "wanted":
      return [...want(manager, event.transfers), ...schedule(manager, nowMs)];
    case "completed":
      manager.transfers.delete(event.name);
      return schedule(manager, nowMs);
    case "follows": {
      const transfer = manager.transfers.get(event.name);
      if (transfer?.phase === "running") transfer.phase = "following";
      return schedule(manager, nowMs);
    }
    case "failed":
      return [
        ...failed(manager, event, nowMs),
        ...schedule(manager, nowMs, event.yields ? 1 : 0),
      ];
    case "inbound":
      manager.inbound = event.count;
      return schedule(manager, nowMs);
    case "concurrency":
      manager.config = { ...manager.config, concurrency: event.concurrency };
      return [...stopSurplus(manager), ...schedule(manager, nowMs)];
    case "enabled":
      return [...enable(manager, event), ...schedule(manager, nowMs)];
    case "tick":
      return schedule(manager, nowMs);
    default:
      return event satisfies never;
  }
}

/** Whether another inbound transfer may run. */
export function admitsInbound(
  { config, inbound, transfers }: ManagerState,
): boolean {
  return config.inbound &&
    inbound + runningIn(transfers).length < config.concurrency;
}

/** Whether more transfers run than may, as the limit was lowered. */
export function exceedsLimit(
  { config, inbound, transfers }: ManagerState,
): boolean {
  return inbound + runningIn(transfers).length > config.concurrency;
}

/** What a transfer waits for, or why it last failed; `null` if neither. */
export function reasonFor(
  { config, inbound, transfers }: ManagerState,
  { phase, wanted, reason }: ManagedTransfer,
): string | null {
  if (wanted.blocked !== null) return wanted.blocked;
  if (phase !== "waiting") return reason;
  if (!config.outbound) return "outbound transfers are disabled";
  const isFull = inbound + runningIn(transfers).length >= config.concurrency;
  return isFull && (reason === null || config.concurrency === 0)
    ? `${config.concurrency} may run at once`
    : reason;
}

/** Whether any outbound transfer runs. */
export function isSending({ transfers }: ManagerState): boolean {
  return runningIn(transfers).length > 0;
}

function runningIn(
  transfers: ReadonlyMap<string, ManagedTransfer>,
): [string, ManagedTransfer][] {
  return [...transfers].filter(([, { phase }]) =>
    phase === "running" || phase === "stopping"
  );
}

function hasSender({ phase }: ManagedTransfer): boolean {
  return phase === "running" || phase === "following";
}

function want(
  manager: ManagerState,
  wanted: readonly WantedTransfer[],
): ManagerEffect[] {
  const effects: ManagerEffect[] = [];
  const byName = new Map(wanted.map((each) => [transferName(each), each]));
  for (const [name, known] of manager.transfers) {
    const still = byName.get(name);
    known.dropped = still === undefined;
    if (still !== undefined) {
      // With a new decision it is another transfer, even between the same
      // vnodes.
      const same = still.spread?.follows === false ||
        sameDecision(still.decided, known.wanted.decided);
      if (hasSender(known) && !same) {
        known.phase = "stopping";
        effects.push({
          type: "stop",
          name,
          resumable: false,
          reason: "the ring has changed",
        });
      }
      if (
        hasSender(known) && known.follows && still.blocked === null &&
        still.spread?.follows === false
      ) {
        known.follows = false;
        effects.push({ type: "finish", name });
      }
      if (known.wanted.blocked !== null && still.blocked === null) {
        known.notBeforeMs = 0;
      }
      known.wanted = still;
    } else if (known.phase === "waiting") {
      manager.transfers.delete(name);
      effects.push({ type: "forget", name, transfer: known.wanted });
    } else if (hasSender(known)) {
      known.phase = "stopping";
      effects.push({
        type: "stop",
        name,
        resumable: false,
        reason: "it is not wanted any more",
      });
    }
  }
  for (const [name, transfer] of byName) {
    if (manager.transfers.has(name)) continue;
    manager.transfers.set(name, {
      wanted: transfer,
      phase: "waiting",
      follows: false,
      failures: 0,
      refusals: 0,
      beganMs: 0,
      notBeforeMs: 0,
      reason: null,
      dropped: false,
    });
  }
  return effects;
}

function failed(
  manager: ManagerState,
  event: Extract<ManagerEvent, { type: "failed" }>,
  nowMs: number,
): ManagerEffect[] {
  const transfer = manager.transfers.get(event.name);
  if (transfer === undefined) return [];
  if (transfer.dropped) {
    const { name } = event;
    manager.transfers.delete(name);
    return [{ type: "forget", name, transfer: transfer.wanted }];
  }
  const stopped = transfer.phase === "stopping";
  transfer.phase = "waiting";
  transfer.reason = event.reason;
  if (stopped) return [];
  const [min, max, times] = event.refused
    ? [REFUSED_MS_MIN, REFUSED_MS_MAX, ++transfer.refusals]
    : [RETRY_MS_MIN, RETRY_MS_MAX, ++transfer.failures];
  const steps = Math.min(20, times - 1);
  const tookMs = nowMs - transfer.beganMs;
  const pauseMs = Math.max(
    Math.min(max, min * 2 ** steps),
    event.refused ? Math.min(RETRY_MS_MAX, REFUSED_REST * tookMs) : 0,
  );
  transfer.notBeforeMs = nowMs + pauseMs * (0.5 + event.jitter / 2);
  return [];
}

function stopSurplus(manager: ManagerState): ManagerEffect[] {
  const { transfers, config, inbound } = manager;
  const running = runningIn(transfers);
  let surplus = inbound + running.length - config.concurrency;
  const effects: ManagerEffect[] = [];
  // The last to start are the first to stop.
  for (const [name, transfer] of running.reverse()) {
    if (surplus <= 0) break;
    surplus--;
    if (transfer.phase !== "running") continue;
    transfer.phase = "stopping";
    effects.push({
      type: "stop",
      name,
      resumable: true,
      reason: "fewer may run at once",
    });
  }
  if (surplus > 0) effects.push({ type: "stop_inbound", count: surplus });
  return effects;
}

function enable(
  manager: ManagerState,
  { direction, enabled }: Extract<ManagerEvent, { type: "enabled" }>,
): ManagerEffect[] {
  const outbound = direction !== "inbound";
  const inbound = direction !== "outbound";
  manager.config = {
    ...manager.config,
    ...(outbound ? { outbound: enabled } : {}),
    ...(inbound ? { inbound: enabled } : {}),
  };
  if (enabled) return [];
  const effects: ManagerEffect[] = [];
  if (outbound) {
    for (const [name, transfer] of manager.transfers) {
      if (!hasSender(transfer)) continue;
      transfer.phase = "stopping";
      effects.push({
        type: "stop",
        name,
        resumable: true,
        reason: "outbound transfers are disabled",
      });
    }
  }
  if (inbound && manager.inbound > 0) {
    effects.push({ type: "stop_inbound", count: manager.inbound });
  }
  return effects;
}

/** Starts what may run now, in order, leaving `yielded` slots free. */
function schedule(
  manager: ManagerState,
  nowMs: number,
  yielded = 0,
): ManagerEffect[] {
  const { config, transfers, inbound } = manager;
  if (!config.outbound) return [];
  let free = config.concurrency - inbound - runningIn(transfers).length -
    yielded;
  const waiting = [...transfers].filter(([, { phase, wanted }]) =>
    phase === "waiting" && wanted.blocked === null
  );
  const ready = waiting.filter(([, { notBeforeMs }]) => notBeforeMs <= nowMs)
    .sort(([, a], [, b]) =>
      PRIORITY[a.wanted.kind] - PRIORITY[b.wanted.kind] ||
      a.wanted.sourcePartition - b.wanted.sourcePartition
    );
  const sourceOf = ({ wanted }: ManagedTransfer): string =>
    `${wanted.module}/${wanted.sourcePartition}`;
  const busy = new Set<string>();
  for (const transfer of transfers.values()) {
    if (transfer.phase !== "waiting") busy.add(sourceOf(transfer));
  }
  const effects: ManagerEffect[] = [];
  for (const [name, transfer] of ready) {
    if (free <= 0) break;
    if (busy.has(sourceOf(transfer))) continue;
    busy.add(sourceOf(transfer));
    free--;
    transfer.phase = "running";
    transfer.beganMs = nowMs;
    transfer.follows = transfer.wanted.spread?.follows ?? false;
    effects.push({ type: "begin", name, transfer: transfer.wanted });
  }
  const next = Math.min(
    ...waiting.map(([, { notBeforeMs }]) => notBeforeMs)
      .filter((atMs) => atMs > nowMs),
  );
  if (Number.isFinite(next)) effects.push({ type: "set_timer", atMs: next });
  return effects;
}
