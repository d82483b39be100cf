/**
 * Kills a writing process with SIGKILL, again and again, and looks whether
 * everything it was told to be durable is there.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { openStore } from "../../src/storage/open_store.ts";
import { firstOfLastRound, valueAt, writers } from "./store_crash_values.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

const child = new URL("./store_crash_child.ts", import.meta.url).href;

/** Starts a child, kills it after `lines` acknowledgements, and tells the last number each writer was acknowledged. */
async function writeAndKill(
  path: string,
  from: number,
  lines: number,
): Promise<number[]> {
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      "--unstable-kv",
      child,
      path,
      String(from),
    ],
    stdout: "piped",
  }).spawn();
  const acknowledged = new Array<number>(writers).fill(from - 1);
  let count = 0;
  let rest = "";
  const decoder = new TextDecoder();
  let killed = false;
  const kill = () => {
    if (!killed) process.kill("SIGKILL");
    killed = true;
  };
  try {
    for await (const chunk of process.stdout) {
      const said = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = said.pop() as string;
      for (const line of said) {
        const [writer, number] = line.split(" ").map(Number) as [
          number,
          number,
        ];
        assertEquals(number, (acknowledged[writer] as number) + 1);
        acknowledged[writer] = number;
      }
      count += said.length;
      // What it said before it died still counts: it was acknowledged.
      if (count >= lines) kill();
    }
  } catch (error) {
    kill();
    await process.status;
    throw error;
  }
  assertEquals((await process.status).signal, "SIGKILL");
  return acknowledged;
}

Deno.test("Deno KV store keeps every acknowledged write when its process is killed", async () => {
  const folder = await Deno.makeTempDir({ prefix: "whorl-crash-" });
  const path = `${folder}/store`;
  try {
    let from = 0;
    let storeId: string | undefined;
    for (let round = 1; round <= 5; round++) {
      const acknowledged = await writeAndKill(path, from, 600 * round);
      await using store = await openStore(
        { type: "deno_kv", path },
        systemStorage,
      );
      assert(!store.state.tailLost);
      assertEquals(store.state.epoch, round * 2);
      storeId ??= store.state.storeId;
      assertEquals(store.state.storeId, storeId);
      let highest = from;
      for (let writer = 0; writer < writers; writer++) {
        const last = acknowledged[writer] as number;
        for (
          let number = firstOfLastRound(writer, last);
          number <= last;
          number++
        ) {
          const { partition, key } = valueAt(writer, number);
          const found = await store.partition(partition).get(key);
          if (found === undefined) {
            throw new Error(`writer ${writer} lost ${number}`);
          }
          const stored = new DataView(found.buffer, found.byteOffset)
            .getUint32(0);
          // A newer write that was not acknowledged may be there, whole.
          assert(stored >= number, `writer ${writer} went back to ${stored}`);
          const whole = valueAt(writer, stored).value;
          assert(found.every((byte, i) => byte === whole[i]), "value is whole");
          highest = Math.max(highest, stored);
        }
      }
      for (const partition of await store.partitions()) {
        assertEquals(
          (await store.partition(partition).integrity()).corrupt,
          [],
        );
      }
      from = highest + 1;
    }
    // Chunks of large values that never became one are gone.
    await using store = await openStore(
      { type: "deno_kv", path },
      systemStorage,
    );
    const { partition, key } = valueAt(0, 0);
    await store.partition(partition).deleteRange();
    assertEquals(await store.partition(partition).get(key), undefined);
    await store.close();
    const kv = await Deno.openKv(path);
    let chunks = 0;
    for await (
      const _ of kv.list({
        start: [new Uint8Array([2])],
        end: [new Uint8Array([4])],
      })
    ) chunks++;
    kv.close();
    assertEquals(chunks, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
