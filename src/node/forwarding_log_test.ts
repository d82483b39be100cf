import { assertEquals } from "@std/assert";
import type { Log } from "../environment/log.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack } from "../wire/msgpack.ts";
import { forwardingLog, relayLogLine } from "./forwarding_log.ts";

/** A log that writes `level path: message data` to `lines`. */
function keptLog(lines: string[], path: readonly string[] = []): Log {
  const keep = (level: string) => (message: string, data: unknown = {}) => {
    lines.push(
      `${level} ${path.join("/")}: ${message} ${JSON.stringify(data)}`,
    );
  };
  return {
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
    child: (name) => keptLog(lines, [...path, name]),
  };
}

function eventIn(message: Uint8Array<ArrayBuffer>): unknown {
  let event: unknown;
  readFrames(
    message,
    0,
    message.length,
    FRAME_BYTES_MAX,
    (type, _flags, _correlation, bytes, start, end) => {
      assertEquals(type, FrameType.masterEvent);
      event = decodeMsgpack(bytes.subarray(start, end));
    },
  );
  return event;
}

Deno.test("relayLogLine() writes the lines of a forwarding log unchanged", () => {
  const lines: string[] = [];
  const log = forwardingLog((message) => {
    assertEquals(
      relayLogLine(eventIn(message), keptLog(lines, ["here"])),
      true,
    );
  });
  log.info("Started");
  log.child("part").error("It fell", { count: 2 });
  // Data that cannot be sent is left out; the line is not.
  log.warn("Odd data", { call: () => {} });
  assertEquals(lines, [
    "info here: Started {}",
    'error here/part: It fell {"count":2}',
    "warn here: Odd data {}",
  ]);
});

Deno.test("forwardingLog() makes text of quoted data that is not text", () => {
  const lines: string[] = [];
  const log = forwardingLog((message) => {
    relayLogLine(eventIn(message), keptLog(lines));
  });
  log.child("at \ud800").info("Key '\udc00' is odd", {
    key: "\udfff",
    "\ud801": ["a\ud801"],
  });
  assertEquals(lines, [
    `info at \ufffd: Key '\ufffd' is odd {"key":"\ufffd","\ufffd":["a\ufffd"]}`,
  ]);
});

Deno.test("relayLogLine() leaves other events alone", () => {
  const lines: string[] = [];
  assertEquals(relayLogLine({ type: "vnode_started" }, keptLog(lines)), false);
  assertEquals(lines, []);
});

Deno.test("forwardingLog() leaves out data that a node would refuse, and never throws", () => {
  const lines: string[] = [];
  const log = forwardingLog((message) => {
    relayLogLine(eventIn(message), keptLog(lines));
  });
  log.info("a date", { at: new Date(0) });
  log.info("a prototype", JSON.parse('{"__proto__": 1}'));
  log.info("many", { values: new Array(200_000).fill(0) });
  log.info("large", { bytes: new Uint8Array(17 * 1024 * 1024) });
  log.info("bare", { of: Object.assign(Object.create(null), { x: "\ud800" }) });
  log.info("long ".repeat(2_000));
  assertEquals(lines.map((line) => line.slice(0, 18)), [
    "info : a date {}",
    "info : a prototype",
    "info : many {}",
    "info : large {}",
    lines[4]?.slice(0, 18),
    "info : long long l",
  ]);
  assertEquals(lines.length, 6);
  assertEquals((lines[5] as string).length < 4_100, true);
});
