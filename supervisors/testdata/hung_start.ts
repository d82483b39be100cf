/**
 * A worker that hangs while it starts, for a test. Prints what happens, then
 * ends the process, which is all that ends the thread.
 *
 * @module
 */
import { startProgram } from "../start_program.ts";
import type { SupervisorError } from "../supervisor_error.ts";

const lines: string[] = [];
try {
  await startProgram({
    placement: "worker",
    module: new URL("./program.ts", import.meta.url),
    args: "loop on start",
    name: "loop on start",
    startTimeoutMs: 300,
    onZombie: (child) => lines.push(`zombie: ${child.name}`),
  });
} catch (error) {
  const { code, cause } = error as SupervisorError;
  lines.push(`${code}: ${(cause as Error).message}`);
}
Deno.stdout.writeSync(new TextEncoder().encode(lines.join("\n")));
Deno.exit(0);
