/**
 * A program as a task in this thread. Messages and signals go over the
 * runtime's `defer`, so that on a simulated runtime everything happens in one
 * order, and neither side runs inside the other's turn.
 *
 * A task that loops without end takes its thread with it, and what it throws in
 * a timer of its own is the process's to handle: run code you don't trust
 * elsewhere.
 *
 * @module
 */
import { HostedChild, type ProgramLink } from "./hosted_child.ts";
import type { StartProgramOptions } from "./program.ts";
import { importProgram, ProgramHost } from "./program_host.ts";
import { systemRuntime } from "./runtime.ts";

/** Starts a program as a task; see {@linkcode HostedChild.started}. */
export function startTask(options: StartProgramOptions): HostedChild {
  const { program, runtime = systemRuntime } = options;
  return new HostedChild(options, (child) => {
    const host = new ProgramHost({
      placement: "task",
      runtime,
      load: program === undefined ? importProgram : () => program,
      port: {
        post: (message) => runtime.defer(() => child.control(message)),
        send: (message) => runtime.defer(() => child.message(message)),
        ended() {},
      },
    });
    const link: ProgramLink = {
      post: (message) =>
        message.type === "start"
          // Copied, and refused if it is not plain data, as for a worker.
          ? host.control({ ...message, args: structuredClone(message.args) })
          : runtime.defer(() => host.control(message)),
      send: (message) => runtime.defer(() => host.message(message)),
      release: () => child.closed("normal"),
      end() {
        host.abandon();
        // Deferred, since the caller may be in the middle of something.
        runtime.defer(() => child.closed("killed"));
      },
    };
    return link;
  });
}
