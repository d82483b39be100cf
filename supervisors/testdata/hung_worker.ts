/**
 * A supervisor whose worker hangs, for a test. Prints what happens, then ends
 * the process, which is all that ends the thread.
 *
 * @module
 */
import type { ProgramChild } from "../program.ts";
import { startProgram } from "../start_program.ts";
import { startSupervisor } from "../supervisor.ts";
import { treeOf } from "../child.ts";

const lines: string[] = [];
let behaviour = "loop";
const replaced = Promise.withResolvers<void>();
const supervisor = await startSupervisor({
  children: [{
    id: "program",
    start: (signal) =>
      startProgram({
        placement: "worker",
        module: new URL("./program.ts", import.meta.url),
        args: behaviour,
        name: behaviour,
        heartbeat: { intervalMs: 50, timeoutMs: 400 },
        onZombie: (child) => lines.push(`zombie: ${child.name}`),
        signal,
      }),
  }],
  onReport: (report) => {
    if (report.type === "child_exited") {
      lines.push(`${report.type} ${report.id}: ${report.reason}`);
    } else if (report.type === "child_started" && report.restarts > 0) {
      lines.push(`${report.type} ${report.id}: ${report.restarts}`);
      replaced.resolve();
    }
  },
});
const first = supervisor.child("program") as ProgramChild;
behaviour = "echo";
first.send(new Uint8Array(1));
await replaced.promise;
lines.push(`zombies in the tree: ${treeOf(supervisor).children[0]!.zombies}`);
const second = supervisor.child("program") as ProgramChild;
const echoed = Promise.withResolvers<Uint8Array>();
second.onMessage(echoed.resolve);
second.send(new TextEncoder().encode("hello"));
lines.push(
  `the replacement says: ${new TextDecoder().decode(await echoed.promise)}`,
);
Deno.stdout.writeSync(new TextEncoder().encode(lines.join("\n")));
Deno.exit(0);
