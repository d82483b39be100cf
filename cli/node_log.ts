/**
 * Where a node's log goes when the command line runs it: standard error, one
 * line each, with the data behind the sentence.
 *
 * @module
 */
import { configure, type LogRecord } from "npm:@logtape/logtape@2.4.2";
import type { LogLevel } from "./node_flags.ts";
import type { Output } from "./output.ts";

/** Sends the log of everything in this process to `output`, from `lowestLevel` up. */
export async function logToRemarks(
  lowestLevel: LogLevel,
  output: Output,
): Promise<void> {
  await configure({
    reset: true,
    sinks: { remarks: (record) => output.remark(`${logLine(record)}\n`) },
    loggers: [
      { category: ["whorl"], lowestLevel, sinks: ["remarks"] },
      // LogTape's own, which says something only if a sink fails.
      {
        category: ["logtape", "meta"],
        lowestLevel: "warning",
        sinks: ["remarks"],
      },
    ],
  });
}

/** One line: time, level, part of the system, sentence, data. */
export function logLine(record: LogRecord): string {
  const time = new Date(record.timestamp).toISOString().slice(11, 23);
  const part = record.category.slice(1).join(".");
  const data = Object.entries(record.properties)
    .map(([name, value]) => ` ${name}=${shown(value)}`)
    .join("");
  const sentence = record.message.map(String).join("");
  const line = `[${record.level}] ${part}${part && ": "}${sentence}${data}`;
  // What comes from outside cannot forge a line or steer a terminal.
  return `${time} ${line.replace(/\p{Cc}/gu, "?")}`;
}

/** Data on one line. */
function shown(value: unknown): string {
  return Deno.inspect(value, {
    colors: false,
    compact: true,
    breakLength: Infinity,
    depth: 4,
  });
}
