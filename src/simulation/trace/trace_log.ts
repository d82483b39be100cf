/**
 * A node's log as part of a trace.
 *
 * @module
 */
import type { Log, LogData } from "../../environment/log.ts";
import { silentLog } from "../../environment/log.ts";
import type { Trace } from "./trace.ts";

/**
 * A log whose lines become events of `trace` at `place`; silent if the trace is
 * off.
 */
export function traceLog(trace: Trace, place: string, name = ""): Log {
  if (!trace.on) return silentLog;
  const line = (level: string) => (message: string, data?: LogData): void =>
    trace.add(
      place,
      "log",
      `${level} ${name}${message}${
        data === undefined ? "" : ` ${JSON.stringify(data, plain)}`
      }`,
    );
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: (child) => traceLog(trace, place, `${name}${child}: `),
  };
}

/** Converts to text what JSON would omit or fail on. */
function plain(_key: string, value: unknown): unknown {
  return value instanceof Error
    ? value.message
    : typeof value === "bigint" || typeof value === "symbol"
    ? String(value)
    : value;
}
