/**
 * Waits until the members of a cluster of `ra_kv` are equal: one leader, each
 * node a voter and as far as the others, the same entries live in each, and
 * every key the same as each member reads it from its own log.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../../src/base/errors.ts";
import { OPERATION_MS_MAX } from "../load_clients.ts";
import type { NemesisNode } from "../nemesis_node.ts";
import { pause } from "../pause.ts";
import { GROUP, type RaKvHistory, type Seen, seenOf } from "./ra_kv_load.ts";

/** Reads under way at once through one node. */
const READS_AT_ONCE = 16;
const LOOK_AGAIN_MS = 100;

/** What to wait for. */
export interface Agreement {
  /** The nodes that are to have a member each; asked anew each time it is looked. */
  readonly members: () => Promise<readonly NemesisNode[]>;
  readonly keys: readonly string[];
  /** What each key held when members agreed the last time, which is brought up to date. */
  readonly settled: Map<string, Seen>;
  /** Takes the reads of keys that have changed since. */
  readonly history: RaKvHistory;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** Members that agree: keys that have changed since the last time. Or what is different. */
export type Agreed = { readonly changed: readonly string[] } | string;

/** Waits for it. */
export async function awaitAgreement(agreement: Agreement): Promise<Agreed> {
  const { deadline, signal } = agreement;
  let difference = "nothing was looked at";
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    const look = await lookOnce(agreement);
    if (typeof look !== "string") return look;
    difference = look;
    await pause(LOOK_AGAIN_MS, signal);
  }
  return difference;
}

async function lookOnce(agreement: Agreement): Promise<Agreed> {
  let members: readonly NemesisNode[] = [];
  try {
    members = await agreement.members();
    const down = members.filter(({ running }) => !running);
    if (down.length > 0) {
      return `${down.map(({ name }) => name).join(", ")} does not run`;
    }
    return await differenceOfLogs(members) ??
      await readAll(members, agreement);
  } catch (error) {
    if (isWhorlError(error)) return `${error.code}: ${reasonOf(error)}`;
    // A node that ends while it is asked makes the question fail.
    if (members.every(({ running }) => running)) throw error;
    return reasonOf(error);
  }
}

/** What keeps the members from being equal, as each node is told; `undefined` if nothing does. */
async function differenceOfLogs(
  members: readonly NemesisNode[],
): Promise<string | undefined> {
  const wanted = members.map(({ name }) => name).sort().join();
  const views = new Set<string>();
  for (const node of members) {
    const { raKv } = await node.client();
    const view = await raKv.overview(GROUP, { timeoutMs: OPERATION_MS_MAX });
    const found = view.members.map((member) => member.node).sort().join();
    if (found !== wanted) return `the members are ${found}, not ${wanted}`;
    const no = view.members.find(({ kind }) => kind !== "voter");
    if (no !== undefined) return `${no.node} is ${no.kind}, no voter`;
    const [failure] = view.failures;
    if (failure !== undefined) {
      return `${failure.node} does not answer: ${failure.code}`;
    }
    const states = view.overviews.map((one) =>
      JSON.stringify([one.term, one.leader, one.appliedIndex, one.machine])
    );
    if (new Set(states).size > 1) return `members differ: ${states.join(" ")}`;
    views.add(states[0] as string);
  }
  if (views.size > 1) return `it goes on: ${[...views].join(" ")}`;
  return await differenceOfLiveIndexes(members);
}

async function differenceOfLiveIndexes(
  members: readonly NemesisNode[],
): Promise<string | undefined> {
  const [{ raKv }] = await Promise.all([(members[0] as NemesisNode).client()]);
  const all = await Promise.all(
    members.map(async ({ name }) => ({
      name,
      live: `${await raKv.liveIndexes(GROUP, { node: name })}`,
    })),
  );
  const other = all.find(({ live }) => live !== all[0]?.live);
  return other === undefined
    ? undefined
    : `other entries are live on ${other.name} than on ${all[0]?.name}`;
}

/** Every key as each member reads it. */
async function readAll(
  members: readonly NemesisNode[],
  agreement: Agreement,
): Promise<Agreed> {
  const { keys, settled } = agreement;
  const views = await Promise.all(
    members.map(async (node) => ({
      name: node.name,
      view: await readAllOf(node, agreement),
    })),
  );
  const [first] = views as [typeof views[number]];
  for (const { name, view } of views) {
    for (const key of keys) {
      const [here, there] = [first.view.get(key) as Seen, view.get(key)];
      if (same(here, there)) continue;
      return `${key}: ${first.name} reads ${JSON.stringify(here)}, ${name} ${
        JSON.stringify(there)
      }`;
    }
  }
  const changed = keys.filter((key) =>
    !same(first.view.get(key) as Seen, settled.get(key))
  );
  for (const key of changed) settled.set(key, first.view.get(key) as Seen);
  return { changed };
}

async function readAllOf(
  node: NemesisNode,
  { keys, settled, history }: Agreement,
): Promise<ReadonlyMap<string, Seen>> {
  const { raKv } = await node.client();
  const options = { from: "local", timeoutMs: OPERATION_MS_MAX } as const;
  const view = new Map<string, Seen>();
  const queue = keys[Symbol.iterator]();
  await Promise.all(Array.from({ length: READS_AT_ONCE }, async (_, reader) => {
    for (const key of queue) {
      const before = settled.get(key);
      let seen = before === undefined
        ? undefined
        : seenOf(await raKv.get(GROUP, key, options));
      // What is new must be explained by the history, as any read must.
      if (seen === undefined || !same(seen, before)) {
        const record = history.invoke(`${node.name} reader ${reader}`, key, {
          type: "get",
          from: "local",
        });
        try {
          seen = seenOf(await raKv.get(GROUP, key, options));
        } catch (error) {
          history.fail(record, reasonOf(error));
          throw error;
        }
        history.succeed(record, seen.value);
      }
      view.set(key, seen);
    }
  }));
  return view;
}

function same(one: Seen, other: Seen | undefined): boolean {
  return one.value === other?.value && one.index === other.index;
}
