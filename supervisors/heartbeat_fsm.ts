/**
 * Finds children that hang: each question has a number and is to be answered; a
 * child whose oldest unanswered question is too old has hung, unless it says
 * anything else: a busy one has its question still in the queue, behind its
 * work. Neither Deno nor the operating system tells otherwise (a worker in an
 * endless loop and a subprocess under SIGSTOP raise no event).
 *
 * @module
 */
import type { ChildKind } from "./child.ts";

/** How often to ask and how long to wait. */
export interface HeartbeatLimits {
  /** Milliseconds between questions. */
  readonly intervalMs: number;
  /** Age of an unanswered question, in milliseconds, that means hung. */
  readonly timeoutMs: number;
}

/**
 * Questions every half second, three seconds of patience with a subprocess, and
 * ten with a worker: it cannot be ended, so that finding it hung costs the whole
 * process, and on a machine with twenty threads for two cores a healthy one has
 * been silent for four.
 */
export function defaultHeartbeat(kind: ChildKind): HeartbeatLimits {
  return { intervalMs: 500, timeoutMs: kind === "worker" ? 10_000 : 3_000 };
}

/** Questions without answer. Has one owner and changes in place. */
export interface HeartbeatState {
  readonly limits: HeartbeatLimits;
  /** Oldest first. */
  readonly unanswered: { readonly beat: number; askedAtMs: number }[];
  beats: number;
  lastTickMs: number;
}

/**
 * Begins without questions.
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

/** Notes a question asked now and returns its number. */
export function askBeat(state: HeartbeatState, nowMs: number): number {
  const beat = ++state.beats;
  state.unanswered.push({ beat, askedAtMs: nowMs });
  return beat;
}

/** Takes an answer, which answers all earlier questions as well. */
export function answerBeat(state: HeartbeatState, beat: number): void {
  let answered = 0;
  for (const question of state.unanswered) {
    if (question.beat > beat) break;
    answered++;
  }
  state.unanswered.splice(0, answered);
}

/** The child said something else, so it lives: only what it is asked from now on counts. */
export function hearChild(state: HeartbeatState): void {
  state.unanswered.length = 0;
}

/** Called once an interval: has the child hung? If not, it is time for the next question. */
export function tickHeartbeat(
  state: HeartbeatState,
  nowMs: number,
): "hung" | "ask" {
  // A tick that comes late means that this thread stood still, and answers
  // that came meanwhile are still to be read: the child gets that time back.
  const lateMs = nowMs - state.lastTickMs - state.limits.intervalMs;
  if (lateMs > 0) {
    for (const question of state.unanswered) question.askedAtMs += lateMs;
  }
  state.lastTickMs = nowMs;
  return silentForMs(state, nowMs) >= state.limits.timeoutMs ? "hung" : "ask";
}

/** Age of the oldest unanswered question, in milliseconds; 0 if there is none. */
export function silentForMs(state: HeartbeatState, nowMs: number): number {
  const oldest = state.unanswered[0];
  return oldest === undefined ? 0 : nowMs - oldest.askedAtMs;
}
