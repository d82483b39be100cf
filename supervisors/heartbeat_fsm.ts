/**
 * Detects children that hang. The parent sends numbered pings; a child whose
 * oldest unanswered ping is too old hangs, unless it sends anything else: the
 * ping of a busy child is still in its queue, behind its work. Neither Deno nor
 * the operating system reports a hang (a worker in an endless loop and a
 * subprocess under SIGSTOP raise no event).
 *
 * @module
 */
import type { ChildKind } from "./child.ts";

/** How often to ping and how long to wait. */
export interface HeartbeatLimits {
  /** Milliseconds between questions. */
  readonly intervalMs: number;
  /** Age of an unanswered ping, in milliseconds, at which a child counts as hung. */
  readonly timeoutMs: number;
}

/**
 * A ping every half second; three seconds of patience with a subprocess, and
 * ten with a worker: it cannot be terminated, so declaring it hung costs the
 * whole process, and with twenty threads on two cores a healthy worker has been
 * silent for four seconds.
 */
export function defaultHeartbeat(kind: ChildKind): HeartbeatLimits {
  return { intervalMs: 500, timeoutMs: kind === "worker" ? 10_000 : 3_000 };
}

/** The unanswered pings. Has one owner and changes in place. */
export interface HeartbeatState {
  readonly limits: HeartbeatLimits;
  /** Oldest first. */
  readonly unanswered: { readonly beat: number; askedAtMs: number }[];
  beats: number;
  lastTickMs: number;
}

/**
 * Begins without pings.
 *
 * @throws {RangeError} If a limit is not above 0, or patience is below the interval.
 */
export function createHeartbeat(
  limits: HeartbeatLimits,
  nowMs: number,
): HeartbeatState {
  const { intervalMs, timeoutMs } = limits;
  if (!(intervalMs > 0 && timeoutMs >= intervalMs)) {
    throw new RangeError(
      `Cannot watch child as 0 < intervalMs <= timeoutMs must hold: current values are ${intervalMs} and ${timeoutMs}`,
    );
  }
  return { limits, unanswered: [], beats: 0, lastTickMs: nowMs };
}

/** Records a ping sent now and returns its number. */
export function askBeat(state: HeartbeatState, nowMs: number): number {
  const beat = ++state.beats;
  state.unanswered.push({ beat, askedAtMs: nowMs });
  return beat;
}

/** Takes an answer, which answers all earlier pings as well. */
export function answerBeat(state: HeartbeatState, beat: number): void {
  let answered = 0;
  for (const question of state.unanswered) {
    if (question.beat > beat) break;
    answered++;
  }
  state.unanswered.splice(0, answered);
}

/** The child sent something else, so it is alive: only later pings count. */
export function hearChild(state: HeartbeatState): void {
  state.unanswered.length = 0;
}

/** Called once per interval: has the child hung? If not, it is time for the next ping. */
export function tickHeartbeat(
  state: HeartbeatState,
  nowMs: number,
): "hung" | "ask" {
  // A late tick means that this thread was blocked and answers have yet to be
  // read: the child is credited with that time.
  const lateMs = nowMs - state.lastTickMs - state.limits.intervalMs;
  if (lateMs > 0) {
    for (const question of state.unanswered) question.askedAtMs += lateMs;
  }
  state.lastTickMs = nowMs;
  return silentForMs(state, nowMs) >= state.limits.timeoutMs ? "hung" : "ask";
}

/** Age of the oldest unanswered ping, in milliseconds; 0 if there is none. */
export function silentForMs(state: HeartbeatState, nowMs: number): number {
  const oldest = state.unanswered[0];
  return oldest === undefined ? 0 : nowMs - oldest.askedAtMs;
}
