/**
 * A process that is killed on the real disk, again and again.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { RaftEntry } from "../../src/raft/raft_entry.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";
import { textOf } from "./log_driver.ts";

const KILLS = 3;
const program = new URL("./append_forever.ts", import.meta.url);

/** Runs the program until it has written out so many lines. Answers the last number told by each kind of line. */
async function runAndKill(
  folder: string,
  lines: number,
): Promise<Map<string, number>> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--quiet", "-A", program.href, folder],
    stdout: "piped",
  }).spawn();
  const told = new Map<string, number>();
  let count = 0;
  let rest = "";
  try {
    for await (
      const text of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      const parts = (rest + text).split("\n");
      rest = parts.pop() as string;
      for (const line of parts) {
        const [what, number] = line.split(" ") as [string, string];
        told.set(what, Number(number));
        if (++count === lines) child.kill("SIGKILL");
      }
    }
  } finally {
    await child.status;
  }
  assert(count >= lines, `it ended by itself after ${count} lines`);
  return told;
}

Deno.test("a log on the real disk outlives its process at any moment", async () => {
  const parent = await Deno.makeTempDir({ prefix: "whorl-raft-log-" });
  const folder = `${parent}/raft`;
  try {
    let before = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const told = await runAndKill(folder, 180 + 97 * kill);
      assert((told.get("found") ?? 0) >= before);
      const logs = await openRaftLogs({ folder, environment: systemStorage });
      const log = await logs.open(7, {
        onWritten() {},
        onFailed() {},
        onRotten() {},
      });
      assert(!log.recovered.damaged);
      assert(log.lastIndex >= (told.get("written") ?? 0));
      const snapshot = log.snapshot?.index ?? 0;
      assert(snapshot >= (told.get("snapshot") ?? 0));
      const indexes = Array.from({ length: log.lastIndex }, (_, i) => i + 1);
      const found = await log.read(indexes);
      const readable = indexes.filter((index) =>
        index > snapshot || index % 10 === 0
      );
      assertEquals(found.size, readable.length);
      for (const index of readable) {
        const entry = found.get(index) as RaftEntry;
        assertEquals(textOf(entry), `1:entry ${index}`);
      }
      before = log.lastIndex;
      await logs.close();
    }
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});
