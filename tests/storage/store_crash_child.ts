/**
 * A process that writes to a store as fast as it can and says on standard output
 * what was acknowledged, until it is killed. Started by `store_crash_test.ts`.
 *
 * Line `<writer> <number>`: that writer's write of that number is durable.
 *
 * @module
 */
import { openDenoKvStore } from "../../src/storage/deno_kv_store.ts";
import { valueAt, writers } from "./store_crash_values.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

const [path, from] = Deno.args as [string, string];
// So small that a fold is always under way, at whatever moment the kill comes.
const store = await openDenoKvStore({ type: "deno_kv", path }, systemStorage, {
  journal: { generationEntriesMax: 200, foldRowsMin: 4, foldRowsMax: 40 },
});
const encoder = new TextEncoder();
let lines = "";

function write(writer: number, number: number): void {
  const { partition, key } = valueAt(writer, number);
  store.partition(partition).write(
    [{ key, value: valueAt(writer, number).value }],
    (error) => {
      if (error !== undefined) throw error;
      lines += `${writer} ${number}\n`;
      write(writer, number + 1);
    },
  );
}

for (let writer = 0; writer < writers; writer++) write(writer, Number(from));

for (;;) {
  const said = encoder.encode(lines);
  lines = "";
  for (let at = 0; at < said.length;) {
    at += await Deno.stdout.write(said.subarray(at));
  }
  await new Promise((resolve) => setTimeout(resolve, 1));
}
