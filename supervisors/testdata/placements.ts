/**
 * Runs a program in every placement and prints what it echoes, for a test.
 *
 * @module
 */
import { startProgram } from "../start_program.ts";

for (const placement of ["task", "worker", "subprocess"] as const) {
  const echoed = Promise.withResolvers<Uint8Array>();
  const child = await startProgram({
    placement,
    module: new URL("./program.ts", import.meta.url),
    args: "echo",
    onMessage: echoed.resolve,
  });
  child.send(new TextEncoder().encode("hello"));
  const words = new TextDecoder().decode(await echoed.promise);
  Deno.stdout.writeSync(new TextEncoder().encode(`${placement}: ${words}\n`));
  const ended = new Promise((resolve) => child.onExit(resolve));
  child.stop("shutdown");
  await ended;
}
