/**
 * A worker that hangs while it starts, for a test. Prints what happens, then
 * ends the process, which is all that ends the thread.
 *
 * @module
 */
import { systemRuntime } from "../runtime.ts";
import { startProgram } from "../start_program.ts";
import type { SupervisorError } from "../supervisor_error.ts";

/** Unlike any other time that is waited for. */
const START_TIMEOUT_MS = 50;

const lines: string[] = [];
const loops = Promise.withResolvers<void>();
try {
  await startProgram({
    placement: "worker",
    module: new URL("./program.ts", import.meta.url),
    args: "loop on start",
    name: "loop on start",
    startTimeoutMs: START_TIMEOUT_MS,
    onMessage: () => loops.resolve(),
    runtime: {
      ...systemRuntime,
      // On a busy machine the time would be over while it still loads.
      setTimer: (afterMs, callback) =>
        afterMs === START_TIMEOUT_MS
          ? loops.promise.then(() => systemRuntime.setTimer(afterMs, callback))
          : systemRuntime.setTimer(afterMs, callback),
    },
    onZombie: (child) => lines.push(`zombie: ${child.name}`),
  });
} catch (error) {
  const { code, cause } = error as SupervisorError;
  lines.push(`${code}: ${(cause as Error).message}`);
}
Deno.stdout.writeSync(new TextEncoder().encode(lines.join("\n")));
Deno.exit(0);
