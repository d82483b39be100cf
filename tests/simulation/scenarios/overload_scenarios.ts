/**
 * More than a node takes at once: queues are filled to their bounds, what is
 * beyond them is refused by the error that says so, and what was acknowledged
 * is there.
 *
 * @module
 */
import { LINK_BACKLOG_BYTES_MAX } from "../../../src/node/link_budget.ts";
import { partitionOf } from "../../../src/ring/chash.ts";
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { nameOf, ownersOn, refusalOf, type Scenario } from "./scenario.ts";

/** Requests a node may have under way. */
const REQUESTS_MAX = 6;
const LOAD_MS = 3_000;
/** Of bursts, in virtual milliseconds; longer than the requests of one take. */
const BURST_EVERY_MS = 6_000;
/** The bucket of bursts. */
const BUCKET = "burst";

/** Commands a vnode may have in hand. */
const COMMANDS_MAX = 6;
/** Time in which a read has repaired its replicas, in virtual milliseconds. */
const REPAIR_MS = 200;
/** What a sync of a slow disk takes, in virtual milliseconds: no command of a burst ends before all have come. */
const SLOW_SYNC_MS = 1_500;

/** Characters of a large value: many fit into what may wait, so that a ping among them is not late. */
const LARGE_VALUE_LENGTH = 2 * 1024 * 1024;
/** Large messages for one link: twice as much as may wait there, and more than a link may ever hold. */
const LARGE_MESSAGES = 24;
/** How long a link stands still, in virtual milliseconds: not so long that its node is suspected. */
const STALL_MS = 500;
/** A key of one replica is written or read there or not at all, so that a refusal is certain. Large messages take their time. */
const ONE_REPLICA = { n: 1, timeoutMs: 60_000 } as const;

/** All of them. */
export const OVERLOAD_SCENARIOS: readonly Scenario[] = [
  {
    name: "bursts_of_requests",
    what:
      "a node that is asked for more than it may have under way answers as many as it may, and refuses the others at once",
    operations: 20,
    loadMs: LOAD_MS,
    lossMax: 0,
    node: { requestsMax: REQUESTS_MAX },
    fills: { requests: REQUESTS_MAX },
    async script(story) {
      // What clients do may be refused as well, which is no fault of the cluster.
      await story.sleep(LOAD_MS + BURST_EVERY_MS);
      for (let burst = 1; burst <= 10; burst++) {
        const asked = 1 + story.chance.below(3 * REQUESTS_MAX);
        const askedAtMs = story.now();
        const refusedInMs: number[] = [];
        await Promise.all(
          Array.from({ length: asked }, async (_, at) => {
            const code = await refusalOf(
              story.ask(burst % 3, ({ kv }) => kv.get(BUCKET, `k${at}`)),
            );
            if (code !== "overload") return;
            refusedInMs.push(story.now() - askedAtMs);
          }),
        );
        // That no more are taken is what the invariants of every run look at.
        story.expect(
          refusedInMs.length === Math.max(0, asked - REQUESTS_MAX),
          `${refusedInMs.length} of ${asked} requests were refused`,
        );
        story.expect(
          refusedInMs.every((ms) => ms === 0),
          `Requests were refused after ${Math.max(...refusedInMs)} ms`,
        );
        await story.sleep(BURST_EVERY_MS);
      }
    },
  },
  {
    name: "full_mailboxes",
    what:
      "vnodes on slow disks take as many commands of many clients as fit into their mailboxes, refuse the others, and keep what they acknowledged",
    loadMs: 20_000,
    lossMax: 0,
    node: { kvMailbox: { requestsMax: COMMANDS_MAX } },
    fills: { mailbox: COMMANDS_MAX },
    async script(story) {
      for (let burst = 1; burst <= 4; burst++) {
        for (const node of [0, 1, 2]) {
          story.strike({
            type: "slow_disk",
            node,
            delayMs: SLOW_SYNC_MS,
            forMs: 2 * SLOW_SYNC_MS,
          });
        }
        const asked = 2 * COMMANDS_MAX +
          story.chance.below(2 * COMMANDS_MAX);
        const partition = story.chance.below(ownersOn(story, 0).length);
        const keys = keysOf(
          story,
          asked,
          (of) => of === partition,
          `${burst}-`,
        );
        const written = await outcomesOf(keys, (key, at) =>
          // Of all nodes, so that the vnode is full and no node need be.
          story.ask(at % 3, ({ kv }) => kv.put(BUCKET, key, key, ONE_REPLICA)));
        const refused = [...written.values()].filter((code) =>
          code !== undefined
        );
        // Clients may have taken places in the mailbox meanwhile.
        story.expect(
          refused.length >= asked - COMMANDS_MAX &&
            refused.every((code) => code === "overload"),
          `${refused.length} of ${asked} writes were refused, for ${[
            ...new Set(refused),
          ]}`,
        );
        await story.sleep(BURST_EVERY_MS);
        for (const [key, code] of written) {
          const { values } = await story.ask(
            0,
            ({ kv }) => kv.get(BUCKET, key, ONE_REPLICA),
          );
          expectOutcome(story, key, code, values, [key]);
          // What has one copy would be missed where there are to be three.
          await story.ask(0, ({ kv }) => kv.get(BUCKET, key, { r: 3 }));
          // Many at once would fill mailboxes again, which refuse what is to be repaired.
          await story.sleep(REPAIR_MS);
        }
      }
    },
  },
  {
    name: "full_link",
    what:
      "large messages fill what may wait for a node whose link is stalled: those beyond it are refused, and those that were taken arrive",
    operations: 40,
    loadMs: 20_000,
    lossMax: 0,
    // On a slower network the messages alone take longer than a node may be silent.
    delayMsMax: 10,
    fills: { link: LINK_BACKLOG_BYTES_MAX },
    async script(story) {
      const to = story.chance.below(3);
      const from = (to + 1 + story.chance.below(2)) % 3;
      const owners = ownersOn(story, from);
      const keys = keysOf(
        story,
        LARGE_MESSAGES,
        (partition) => owners[partition] === nameOf(to),
      );
      const valueOf = (key: string): string =>
        key.padEnd(LARGE_VALUE_LENGTH, "x");
      const stall = (from: number, to: number): void =>
        story.strike({
          type: "slow_link",
          from,
          to,
          delayMs: STALL_MS,
          forMs: STALL_MS,
        });
      stall(from, to);
      const written = await outcomesOf(
        keys,
        (key) =>
          story.ask(
            from,
            ({ kv }) => kv.put(BUCKET, key, valueOf(key), ONE_REPLICA),
          ),
      );
      const codes = [...written.values()];
      const taken = keys.filter((key) => written.get(key) === undefined);
      story.expect(
        codes.every((code) => code === undefined || code === "overload") &&
          taken.length > 0 && taken.length < keys.length,
        `Writes of large values ended with ${codes}`,
      );
      for (const [key, code] of written) {
        const { values } = await story.ask(
          to,
          ({ kv }) => kv.get(BUCKET, key, ONE_REPLICA),
        );
        expectOutcome(story, key, code, values, [valueOf(key)]);
      }
      // The other way the answers to reads are too much; they can wait elsewhere.
      stall(to, from);
      const asked = Array.from(
        { length: LARGE_MESSAGES },
        (_, at) => taken[at % taken.length] as string,
      );
      await Promise.all(asked.map(async (key) => {
        const { values } = await story.ask(
          from,
          ({ kv }) => kv.get(BUCKET, key, ONE_REPLICA),
        );
        expectOutcome(story, key, undefined, values, [valueOf(key)]);
      }));
      // What has one copy would be missed where there are to be three.
      for (const key of taken) {
        const { context } = await story.ask(
          to,
          ({ kv }) => kv.get(BUCKET, key, ONE_REPLICA),
        );
        await story.ask(to, ({ kv }) =>
          kv.delete(BUCKET, key, {
            ...context === null ? {} : { context },
            w: 3,
          }));
      }
    },
  },
];

/** So many keys whose partition `isWanted`. */
function keysOf(
  story: ScriptContext,
  count: number,
  isWanted: (partition: number) => boolean,
  prefix = "k",
): string[] {
  const { length: partitions } = ownersOn(story, 0);
  const keys: string[] = [];
  for (let number = 0; keys.length < count; number++) {
    const key = `${prefix}${number}`;
    if (isWanted(partitionOf(BUCKET, key, partitions))) keys.push(key);
  }
  return keys;
}

/** What `act` is refused with for each of `keys`, all begun at once; undefined where it is done. */
async function outcomesOf(
  keys: readonly string[],
  act: (key: string, at: number) => Promise<unknown>,
): Promise<Map<string, string | undefined>> {
  return new Map(
    await Promise.all(
      keys.map(async (key, at) =>
        [key, await refusalOf(act(key, at))] as const
      ),
    ),
  );
}

/** That what was acknowledged is there, and what certainly was not done is not. */
function expectOutcome(
  story: ScriptContext,
  key: string,
  code: string | undefined,
  found: readonly unknown[],
  wanted: readonly unknown[],
): void {
  const isThere = found.length === wanted.length &&
    wanted.every((value, at) => found[at] === value);
  if (code === undefined) {
    story.expect(isThere, `${key} was acknowledged and is lost`);
  } else if (code === "overload") {
    story.expect(found.length === 0, `${key} was refused and is there`);
  }
}
