/**
 * One Ctrl-C, heard once. Under `deno task` it arrives twice: the terminal sends
 * it to every process in the foreground, and the task runner passes it on to
 * what it runs as well. Taken for a second Ctrl-C, it would end by force what
 * the first one asked to stop in order.
 *
 * @module
 */
import type { StopSignal } from "./world.ts";

/** Within so many milliseconds the same signal is the same keystroke; measured are 1 or 2. */
export const SAME_KEYSTROKE_MS = 100;

/** `handler` for signals as they arrive; `now` is monotonic, in milliseconds. */
export function oncePerKeystroke(
  handler: (signal: StopSignal) => void,
  now: () => number,
): (signal: StopSignal) => void {
  const heardAt = new Map<StopSignal, number>();
  return (signal) => {
    const at = now();
    const before = heardAt.get(signal) ?? -Infinity;
    if (at - before < SAME_KEYSTROKE_MS) return;
    heardAt.set(signal, at);
    handler(signal);
  };
}
