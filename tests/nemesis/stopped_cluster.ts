/**
 * What the nodes of a run have on disk once they have been stopped in order:
 * their rings, and every object of every partition, byte for byte.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../src/base/errors.ts";
import { parseStorageKey } from "../../src/kv/key_limits.ts";
import { systemEnvironment } from "../../src/node/system_environment.ts";
import type { Ring } from "../../src/ring/ring.ts";
import { partitionOf } from "../../src/ring/chash.ts";
import { decodeRing } from "../../src/ring/ring_codec.ts";
import {
  checkConvergence,
  type StoredReplicas,
} from "../../src/simulation/checkers/convergence.ts";
import { DotWatch } from "../../src/simulation/checkers/dots.ts";
import { describeKvObject } from "../../src/simulation/checkers/kv_object_text.ts";
import { checkRingAgreement } from "../../src/simulation/checkers/ring_agreement.ts";
import type { Violation } from "../../src/simulation/checkers/violation.ts";
import { BUCKET } from "./kv_load.ts";

/** A node that has stopped. */
export interface StoppedNode {
  readonly name: string;
  readonly dataDirectory: string;
}

interface HeldRing {
  readonly node: string;
  readonly ring: Ring;
}

/** Replicas that a key has. */
const N = 3;

/** Holds what is on the disks to what the checkers of states ask for. */
export async function checkStoppedCluster(
  nodes: readonly StoppedNode[],
  keys: readonly string[],
): Promise<readonly Violation[]> {
  const rings = await Promise.all(nodes.map(readRing));
  const disagreement = checkRingAgreement(rings);
  if (disagreement.length > 0) return disagreement;
  const { owners } = (rings[0] as HeldRing).ring.ownership;
  const dots = new DotWatch();
  const replicas = new Map<string, Map<string, Uint8Array | undefined>>();
  for (const key of keys) {
    const first = partitionOf(BUCKET, key, owners.length);
    const ofKey = new Map<string, undefined>();
    for (let i = 0; i < N; i++) {
      const partition = (first + i) % owners.length;
      ofKey.set(placeOf(partition, owners[partition] as string), undefined);
    }
    replicas.set(key, ofKey);
  }
  const unreadable: Violation[] = [];
  for (const node of nodes) {
    try {
      await readStore(node, (key, object, place) => {
        dots.seeKvObject(key, object, place);
        // What a fallback still has is no replica of the key's own.
        const ofKey = replicas.get(key);
        if (ofKey?.has(place)) ofKey.set(place, object);
      });
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      const message = `The store of ${node.name}: ${reasonOf(error)}`;
      unreadable.push({ check: "store_readable", message });
    }
  }
  if (unreadable.length > 0) return unreadable;
  const stored: ReadonlyMap<string, StoredReplicas> = replicas;
  return [...checkConvergence(stored, describeKvObject), ...dots.violations];
}

async function readRing(
  { name, dataDirectory }: StoppedNode,
): Promise<HeldRing> {
  const text = await Deno.readTextFile(`${dataDirectory}/ring.json`);
  // A record is a line that vouches for the rest, then JSON.
  const { ring } = JSON.parse(text.slice(text.indexOf("\n"))) as {
    ring: string;
  };
  return { node: name, ring: decodeRing(Uint8Array.fromBase64(ring)).ring };
}

async function readStore(
  { name, dataDirectory }: StoppedNode,
  visit: (key: string, object: Uint8Array, place: string) => void,
): Promise<void> {
  await using store = await systemEnvironment().openStore({
    type: "deno_kv",
    path: `${dataDirectory}/kv-0.kv`,
  });
  for (const partition of await store.partitions()) {
    for await (const { key, value } of store.partition(partition).scan()) {
      const parsed = parseStorageKey(key);
      if (parsed.bucket !== BUCKET) continue;
      visit(parsed.key, value, placeOf(partition, name));
    }
  }
}

function placeOf(partition: number, node: string): string {
  return `partition ${partition} on ${node}`;
}
