/**
 * The log of a program in a worker or subprocess: its lines travel to the node,
 * which writes them where it writes its own.
 *
 * @module
 */
import type { Log, LogData } from "../environment/log.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError } from "../base/errors.ts";
import { beginFrame, endFrame } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { wellFormed, writeMsgpack } from "../wire/msgpack.ts";

/** A log whose lines go to `send` as `masterEvent` frames. */
export function forwardingLog(
  send: (message: Uint8Array<ArrayBuffer>) => void,
  path: readonly string[] = [],
): Log {
  const tell = (level: string) => (message: string, data: LogData = {}) => {
    send(
      eventFrame({ type: "log", level, path, message, data }) ??
        eventFrame({ type: "log", level, path, message, data: {} }) ??
        new Uint8Array(0),
    );
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
  } catch (error) {
    // The data of a line may be anything; without it the line can always travel.
    if (isWhorlError(error, "invalid_argument")) return undefined;
    throw error;
  }
  endFrame(into, start);
  return into.copy();
}
