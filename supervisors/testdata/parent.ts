/**
 * A parent of a subprocess that waits to be killed, for a test. Prints the
 * subprocess's id.
 *
 * @module
 */
import { startProgram } from "../start_program.ts";

const child = await startProgram({
  placement: "subprocess",
  module: new URL("./program.ts", import.meta.url),
  args: "echo",
});
Deno.stdout.writeSync(new TextEncoder().encode(String(child.pid)));
await new Promise(() => {});
