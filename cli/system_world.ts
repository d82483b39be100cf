/**
 * The world of a real process: its streams, environment and signals, and how to
 * start this program again. Only the doors into Whorl are given by the caller.
 *
 * @module
 */
import type { OpenSession } from "../src/node/admin_protocol.ts";
import { processOutput } from "./output.ts";
import { oncePerKeystroke } from "./stop_signals.ts";
import type { ProcessNeeds, StartNode, StopSignal, World } from "./world.ts";

const STOP_SIGNALS: readonly StopSignal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

/** The {@linkcode World} of this process. @param module The program's main module, to start it again. */
export function systemWorld(doors: {
  readonly openSession: OpenSession;
  readonly startNode: StartNode;
  readonly version: string;
  readonly module: string;
}): World {
  return {
    output: processOutput(),
    input: {
      isTerminal: Deno.stdin.isTerminal(),
      bytes: () => Deno.stdin.readable,
    },
    env: (name) => Deno.env.get(name),
    onStopSignal(handler): Disposable {
      const hear = oncePerKeystroke(handler, () => performance.now());
      const listeners = STOP_SIGNALS.map((signal) => {
        const listener = () => hear(signal);
        Deno.addSignalListener(signal, listener);
        return () => Deno.removeSignalListener(signal, listener);
      });
      return {
        [Symbol.dispose]: () => listeners.forEach((remove) => remove()),
      };
    },
    openSession: doors.openSession,
    startNode: doors.startNode,
    self: {
      program: Deno.execPath(),
      args: (needs) => denoArgs(doors.module, needs),
    },
    version: doors.version,
  };
}

/**
 * Arguments for `deno` to run `module` with no more rights than it needs. Net
 * stays open, since nodes learn of each other's addresses while they run.
 */
export function denoArgs(
  module: string,
  { run, writes, flags = [] }: ProcessNeeds,
): readonly string[] {
  // A comma separates paths, two commas stand for one.
  const paths = writes.map((path) => path.replaceAll(",", ",,")).join(",");
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--unstable-kv",
    "--allow-net",
    "--allow-read",
    `--allow-write=${paths}`,
    "--allow-env",
    "--allow-sys",
    ...(run ? [`--allow-run=${Deno.execPath()}`] : []),
    ...flags,
    module,
  ];
}
