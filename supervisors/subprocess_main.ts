/**
 * The entry point of a subprocess: takes stdin and stdout for messages,
 * redirects all printing to stderr, then hosts the program.
 *
 * When the parent ends, stdin closes and this process ends too.
 *
 * @module
 */
import { Console } from "node:console";
import process from "node:process";
import { deserialize, serialize } from "node:v8";
import { type ExitReason, isAbnormal } from "./exit_reason.ts";
import {
  KIND_CONTROL,
  KIND_MESSAGE,
  MessageBatch,
  MessageReader,
} from "./message_stream.ts";
import { importProgram, ProgramHost } from "./program_host.ts";
import { systemRuntime } from "./runtime.ts";

/** Time for a program to stop once its parent is gone, in milliseconds. */
const ORPHAN_STOP_MS = 2_000;

const stdout = Deno.stdout;
const exitProcess = Deno.exit;
const batch = new MessageBatch();
let flushing = false;

// Printing must not write between messages.
Object.defineProperty(Deno, "stdout", { value: Deno.stderr });
Object.defineProperty(process, "stdout", { value: process.stderr });
globalThis.console = new Console({
  stdout: process.stderr,
  stderr: process.stderr,
});

/**
 * Writes the batch. Synchronously: a full pipe then slows this process down
 * instead of filling its memory, and a last message always gets out.
 */
function flush(): void {
  flushing = false;
  const bytes = batch.take();
  try {
    for (let at = 0; at < bytes.length;) {
      at += stdout.writeSync(bytes.subarray(at));
    }
  } catch {
    // Nobody reads any more: the parent is gone.
    exitProcess(1);
  }
}

function add(kind: number, payload: Uint8Array): void {
  batch.add(kind, payload);
  if (flushing) return;
  flushing = true;
  queueMicrotask(flush);
}

const host = new ProgramHost({
  placement: "subprocess",
  runtime: systemRuntime,
  load: importProgram,
  port: {
    post: (message) => add(KIND_CONTROL, serialize(message)),
    send: (message) => add(KIND_MESSAGE, message),
    ended: (reason: ExitReason) => {
      flush();
      exitProcess(isAbnormal(reason) ? 1 : 0);
    },
  },
});

globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  host.fail(event.error ?? new Error(event.message));
});
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  host.fail(event.reason);
});

if (Deno.build.os !== "windows") {
  Deno.addSignalListener("SIGTERM", () => host.stop("shutdown"));
}
// Ctrl-C reaches every process of a terminal at once, but it is for the parent
// to stop its children, in order.
Deno.addSignalListener("SIGINT", () => {});

const reader = new MessageReader((kind, payload) => {
  if (kind === KIND_MESSAGE) host.message(payload);
  else host.control(deserialize(payload));
});
const piece = new Uint8Array(64 * 1024);
for (;;) {
  const count = await Deno.stdin.read(piece);
  if (count === null) break;
  reader.push(piece.subarray(0, count));
}
systemRuntime.setTimer(ORPHAN_STOP_MS, () => exitProcess(1));
host.stop("shutdown");
