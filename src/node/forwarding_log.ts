/**
 * The log of a program in a worker or subprocess: its lines are sent to the
 * node, which writes them to its own log.
 *
 * @module
 */
import type { Log, LogData } from "../environment/log.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError } from "../base/errors.ts";
import { beginFrame, endFrame, FRAME_HEADER_BYTES } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, wellFormed, writeMsgpack } from "../wire/msgpack.ts";

/** Longest sentence of a line, in characters. */
const MESSAGE_LENGTH_MAX = 4_000;

/** A log whose lines go to `send` as `masterEvent` frames. */
export function forwardingLog(
  send: (message: Uint8Array<ArrayBuffer>) => void,
  path: readonly string[] = [],
): Log {
  const tell = (level: string) => (text: string, data: LogData = {}) => {
    const message = text.slice(0, MESSAGE_LENGTH_MAX);
    const line = eventFrame({ type: "log", level, path, message, data }) ??
      eventFrame({ type: "log", level, path, message, data: {} });
    if (line !== undefined) send(line);
  };
  return {
    debug: tell("debug"),
    info: tell("info"),
    warn: tell("warn"),
    error: tell("error"),
    child: (name) => forwardingLog(send, [...path, name]),
  };
}

/**
 * Writes a line that came from a forwarding log to `log`.
 *
 * @returns Whether `event` is such a line.
 */
export function relayLogLine(event: unknown, log: Log): boolean {
  const told = event as {
    type?: string;
    level?: "debug" | "info" | "warn" | "error";
    message?: string;
    path?: string[];
    data?: LogData;
  };
  if (told.type !== "log" || told.level === undefined) return false;
  const into = (told.path ?? []).reduce(
    (parent, name) => parent.child(name),
    log,
  );
  into[told.level](told.message ?? "", told.data ?? {});
  return true;
}

function eventFrame(event: unknown): Uint8Array<ArrayBuffer> | undefined {
  const into = new ByteWriter(256);
  const start = beginFrame(into, FrameType.masterEvent, 0);
  try {
    writeMsgpack(wellFormed(event), into);
    // The data of a line may be anything, and a node replaces a program that
    // sends anything but plain data; without its data a line can always be
    // sent.
    decodeMsgpack(into.view().subarray(start + FRAME_HEADER_BYTES));
    endFrame(into, start);
  } catch (error) {
    if (isWhorlError(error)) return undefined;
    throw error;
  }
  return into.copy();
}
