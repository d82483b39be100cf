/**
 * Flips bits anywhere in a copy of a store file and reads it, once a round.
 * Started by `store_damage_test.ts`, in a process of its own because Deno KV
 * panics when certain bytes of a row are damaged (it believes a value to be a
 * number of eight bytes).
 *
 * Arguments: folder with `sound`, `sound.mark` and `values`; first round; rounds.
 * Standard output: a line a round, `<round> <what happened>`.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- its output is its result
import { WhorlError } from "../../src/base/errors.ts";
import { seededChance } from "../../src/base/chance.ts";
import { openStore } from "../../src/storage/open_store.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

const [folder, from, rounds] = Deno.args as [string, string, string];
const sound = await Deno.readFile(`${folder}/sound`);
const values = await Deno.readFile(`${folder}/values`);
const valueBytes = 90;

async function readDamaged(round: number): Promise<string> {
  const chance = seededChance(`rot ${round}`);
  const path = `${folder}/damaged-${round}`;
  const damaged = sound.slice();
  for (let flips = chance.below(40); flips >= 0; flips--) {
    const at = chance.below(damaged.length);
    damaged[at] = (damaged[at] as number) ^ 1 << chance.below(8);
  }
  await Deno.writeFile(path, damaged);
  await Deno.copyFile(`${folder}/sound.mark`, `${path}.mark`);
  let noticed = 0;
  try {
    await using store = await openStore(
      { type: "deno_kv", path },
      systemStorage,
    );
    for (let i = 0; i * valueBytes < values.length; i++) {
      try {
        const found = await store.partition(3).get(
          new Uint8Array([i >> 8, i]),
        );
        // Damage to an index can hide a key; its replicas have it.
        if (found === undefined) noticed++;
        else if (
          found.length !== valueBytes ||
          found.some((byte, at) => byte !== values[i * valueBytes + at])
        ) return "wrong";
      } catch (error) {
        if (!(error instanceof WhorlError)) throw error;
        noticed++;
      }
    }
  } catch (error) {
    if (!(error instanceof WhorlError) || !error.message.includes(path)) {
      throw error;
    }
    return error.code;
  }
  return noticed > 0 ? "noticed" : "unharmed";
}

for (let round = Number(from); round < Number(rounds); round++) {
  console.log(`${round} ${await readDamaged(round)}`);
}
