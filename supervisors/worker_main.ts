/**
 * The entry point of a worker: waits for the start message, then hosts the
 * program.
 *
 * @module
 */
import { importProgram, ProgramHost } from "./program_host.ts";
import type { FromProgram, ToProgram } from "./program_protocol.ts";
import type { Message } from "./program.ts";
import { systemRuntime } from "./runtime.ts";
import { transfer } from "./message_port.ts";

// The worker's own side of the global scope; the main thread's types hide it.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToProgram & { port?: MessagePort }>) => void;
  postMessage(message: FromProgram): void;
  close(): void;
};
const closeThread = scope.close.bind(scope);
let port: MessagePort | undefined;

const host = new ProgramHost({
  placement: "worker",
  runtime: systemRuntime,
  load: importProgram,
  port: {
    // The last message must not overtake others, so it takes the same channel.
    post: (message) =>
      message.type === "exit" && port !== undefined
        ? port.postMessage(message)
        : scope.postMessage(message),
    send: (message) => transfer(port!, message),
    // What was posted still arrives.
    ended: () => closeThread(),
  },
});

scope.onmessage = ({ data }) => {
  if (data.type === "start") {
    port = data.port!;
    port.onmessage = ({ data }: MessageEvent<ArrayBuffer | Message>) =>
      host.message(data instanceof ArrayBuffer ? new Uint8Array(data) : data);
  }
  host.control(data);
};

globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  host.fail(event.error ?? new Error(event.message));
});
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  host.fail(event.reason);
});

// Closing raises no event at the parent, so it is announced first.
scope.close = (): void => host.exit("normal");
