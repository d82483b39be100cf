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
 * are equal again. A node that refuses to start on what it finds has done
 * right; then the operator's copy from before the damage is put back.
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
    const copy = `${node.dataDirectory}.sound`;
    await copyFiles(node.dataDirectory, copy);
    const done = await damageStore(
      node.dataDirectory,
      damage,
      seededChance(seed),
    );
    cluster.tell(`${shortName(name)}: ${done}`);
    return async () => {
      try {
        await node.start();
        await Deno.remove(copy, { recursive: true });
      } catch (error) {
        cluster.tell(
          `${shortName(name)} refuses its damaged store: ${
            reasonOf(error)
          }; the copy is put back`,
        );
        await Deno.rename(node.dataDirectory, `${node.dataDirectory}.damaged`);
        await Deno.rename(copy, node.dataDirectory);
        await node.start();
        await Deno.remove(`${node.dataDirectory}.damaged`, { recursive: true });
      }
    };
  },
};

async function copyFiles(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { mode: 0o700 });
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (isFile) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** See the module's text. */
export const STORE_FAULTS: readonly Fault[] = [anyPlan(storeDamage)];
