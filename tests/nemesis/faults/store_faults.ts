/**
 * Store files that come back from a crash other than they were.
 *
 * @module
 */
import { seededChance } from "../../../src/base/chance.ts";
import { reasonOf } from "../../../src/base/errors.ts";
import { anyPlan, type Fault, nodeClaim } from "../fault.ts";
import { shortName } from "../short_name.ts";
import {
  damageStore,
  STORE_DAMAGES,
  type StoreDamage,
} from "../store_damage.ts";

interface DamagePlan {
  readonly node: string;
  readonly damage: StoreDamage;
  /** Chooses files and places in them, which are not known before. */
  readonly seed: number;
}

/**
 * On one node at a time: the other replicas have what it has lost, until all
 * are equal again. A node that refuses its store, or gives up on it later
 * because SQLite finds the damage, has done right; then its operator puts the
 * store back as it was before the damage. The watermark is not put back, so
 * that the store knows that it is behind.
 */
const storeDamage: Fault<DamagePlan> = {
  name: "store_damage",
  says:
    "a node is killed and its store comes back with flipped bits or without part of its WAL",
  oncePerRound: true,
  draw(chance, nodes) {
    const node = chance.pick(nodes);
    const damage = chance.pick(STORE_DAMAGES);
    return {
      plan: { node, damage, seed: chance.below(2 ** 32) },
      claims: [nodeClaim(node)],
      words: `${damage.replaceAll("_", " ")} of ${shortName(node)}`,
    };
  },
  async strike(cluster, { node: name, damage, seed }) {
    const node = cluster.node(name);
    await node.kill();
    const copy = await copyStore(node.dataDirectory);
    const done = await damageStore(
      node.dataDirectory,
      damage,
      seededChance(seed),
    );
    cluster.tell(`${shortName(name)}: ${done}`);
    const mend = (): Promise<void> => {
      cluster.tell(`${shortName(name)} gets its store of before the damage`);
      return putBack(node.dataDirectory, copy);
    };
    return async () => {
      try {
        await node.start();
        node.mendBy(mend);
      } catch (error) {
        cluster.tell(
          `${shortName(name)} refuses its damaged store: ${reasonOf(error)}`,
        );
        await mend();
        await node.start();
      }
    };
  },
};

/** Copies the stores in `folder`; returns where to. */
async function copyStore(folder: string): Promise<string> {
  const copy = `${folder}.sound`;
  await removeIfThere(copy);
  await Deno.mkdir(copy, { mode: 0o700 });
  for (const name of await storeFiles(folder)) {
    await Deno.copyFile(`${folder}/${name}`, `${copy}/${name}`);
  }
  return copy;
}

async function putBack(folder: string, copy: string): Promise<void> {
  for (const name of await storeFiles(folder)) {
    await Deno.remove(`${folder}/${name}`);
  }
  for (const name of await storeFiles(copy)) {
    await Deno.copyFile(`${copy}/${name}`, `${folder}/${name}`);
  }
}

/** Databases with all that belongs to them, but not their watermarks. */
async function storeFiles(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.map(({ name }) => name)
    .filter((name) => /\.kv(-wal|-shm|-journal|\.keys)?$/.test(name));
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** See the module comment. */
export const STORE_FAULTS: readonly Fault[] = [anyPlan(storeDamage)];
