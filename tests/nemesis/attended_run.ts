/**
 * A run at a terminal: tells what happens, is interrupted by signals and by
 * what nobody waits for, and removes in any case what was made.
 *
 * @module
 */
import { removeLeftovers } from "./run_directory.ts";

/** A flag that cannot be understood. */
export class UsageError extends Error {}

/** A number of the command line. @throws {UsageError} If it is none, or out of bounds. */
export function flagNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  { min, max, whole = false }: {
    readonly min: number;
    readonly max: number;
    readonly whole?: boolean;
  },
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) {
    return value;
  }
  throw new UsageError(
    `--${name} must be a${
      whole ? " whole" : ""
    } number from ${min} to ${max}: it is ${text}`,
  );
}

/** Whether somebody still reads what is told. */
let heard = true;

/** Tells a line. */
export function tell(line: string): void {
  if (!heard) return;
  const bytes = new TextEncoder().encode(`${line}\n`);
  try {
    for (let at = 0; at < bytes.length;) {
      at += Deno.stdout.writeSync(bytes.subarray(at));
    }
  } catch (error) {
    // Whoever read it has gone, say `head`; the run goes on and its log has it all.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    heard = false;
  }
}

/**
 * Runs until the end, until a signal, or until something throws that nobody
 * waits for; in any case what was made is removed. A second signal changes
 * nothing: the first is about to have removed everything. Resolves to the code
 * with which to end.
 *
 * @param reports Where leftovers of runs that were killed are looked for.
 * @param play Runs it, and says what it came to.
 */
export async function attend(
  reports: string,
  play: (
    signal: AbortSignal,
  ) => Promise<{ readonly passed: boolean; readonly text: string }>,
): Promise<number> {
  for (const removed of await removeLeftovers(reports)) {
    tell(`Removed what a killed run has left: ${removed}`);
  }
  const stop = new AbortController();
  const interrupt = (): void => {
    if (!stop.signal.aborted) tell("Interrupted: removing what was made");
    stop.abort();
  };
  let accident: unknown;
  const onAccident = (event: Event, error: unknown): void => {
    event.preventDefault();
    accident ??= error;
    stop.abort(error);
  };
  const onError = (event: ErrorEvent): void => onAccident(event, event.error);
  const onRejection = (event: PromiseRejectionEvent): void =>
    onAccident(event, event.reason);
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, interrupt);
  addEventListener("error", onError);
  addEventListener("unhandledrejection", onRejection);
  try {
    const { passed, text } = await play(stop.signal);
    tell(text);
    return passed ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted && accident === undefined) return 130;
    tell(Deno.inspect(error));
    if (accident !== undefined && accident !== error) {
      tell(Deno.inspect(accident));
    }
    return 1;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, interrupt);
    removeEventListener("error", onError);
    removeEventListener("unhandledrejection", onRejection);
  }
}

/** Performs `main`, and tells of flags that it cannot understand. */
export async function mainCode(main: () => Promise<number>): Promise<number> {
  try {
    return await main();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    tell(error.message);
    return 2;
  }
}
