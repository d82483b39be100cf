/**
 * A program in a worker. Messages travel over a MessagePort, transferred;
 * heartbeats and commands use the worker's own channel. The child's last
 * message goes over the port as well, so that it arrives after all others.
 *
 * Deno says little about the end of a worker: `self.close()` raises no event,
 * and `terminate()` does not stop a thread that loops. So a child announces its
 * end, heartbeats detect one that cannot, and a thread that may be spinning is
 * marked as a zombie.
 *
 * @module
 */
import type { SerializedError } from "./exit_reason.ts";
import { HostedChild } from "./hosted_child.ts";
import { transfer } from "./message_port.ts";
import type { Message, StartProgramOptions } from "./program.ts";
import type { FromProgram } from "./program_protocol.ts";

/** Starts a program in a worker; see {@linkcode HostedChild.started}. */
export function startWorker(options: StartProgramOptions): HostedChild {
  return new HostedChild(options, (child) => {
    const worker = new Worker(new URL("./worker_main.ts", import.meta.url), {
      type: "module",
      name: child.name,
    });
    const { port1: port, port2 } = new MessageChannel();
    const end = (): void => {
      worker.terminate();
      port.close();
      child.closed("killed");
    };
    port.onmessage = ({ data }: MessageEvent<ArrayBuffer | FromProgram>) => {
      if (data instanceof ArrayBuffer) child.message(new Uint8Array(data));
      else if (data instanceof Uint8Array) child.message(data as Message);
      else child.control(data as FromProgram);
    };
    worker.onmessage = ({ data }: MessageEvent<FromProgram>) =>
      child.control(data);
    worker.onerror = (event) => {
      // Without this the error would end this process too.
      event.preventDefault();
      worker.terminate();
      port.close();
      const error: SerializedError = {
        name: "WorkerError",
        message: event.message,
      };
      child.closed({ type: "crash", error });
    };
    return {
      post: (message) =>
        message.type === "start"
          ? worker.postMessage({ ...message, port: port2 }, [port2])
          : worker.postMessage(message),
      send: (message) => transfer(port, message),
      release: end,
      end,
    };
  });
}
