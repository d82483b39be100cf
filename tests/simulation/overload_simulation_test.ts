/**
 * Bursts of commands for vnodes that handle one at a time on slow disks, with
 * mailboxes for a few: what is too much is refused, what was acknowledged is
 * there, and in the end no vnode is left that refuses anything.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  command,
  type CommandDeclaration,
  defineVnode,
  isWhorlError,
  type MailboxBounds,
  type VnodeModule,
} from "../../mod.ts";
import { type QueueKind, simulate } from "../../src/simulation/mod.ts";

/** What is written, and something that makes the command large. */
interface Written {
  readonly number: number;
  readonly padding: string;
}

type SlowCommands = {
  readonly write: CommandDeclaration<Written, number, never>;
  readonly read: CommandDeclaration<null, Uint8Array, never>;
};

/** Commands that may be in hand of a vnode. */
const REQUESTS_MAX = 5;
/** Bytes of commands that may wait for a vnode: as many as three commands and a part of one more have. */
const BYTES_MAX = 700;
const PADDING = "x".repeat(200);
/** Commands a client has for one vnode at once. */
const BURST = 12;
const ONCE = { n: 1, w: 1, quorum: "strict" } as const;

/** Handles one command at a time, with mailboxes that are full at `bound`. */
function slowModule(
  bound: Partial<MailboxBounds>,
): VnodeModule<SlowCommands> {
  return defineVnode({
    name: "slow",
    commands: { write: command(), read: command() } as SlowCommands,
    mailbox: { ...bound, behindAfterMs: 50, waitMsMax: 20 },
    init: (_partition, { storage }) => ({
      handleCommand: {
        // A promise: the next one waits until this one is on the disk.
        write: ({ number }) =>
          new Promise((resolve, reject) =>
            storage.write(
              [{ key: Uint8Array.of(number), value: Uint8Array.of(1) }],
              (error) => error === undefined ? resolve(number) : reject(error),
            )
          ),
        read: async () => {
          const keys: number[] = [];
          for await (const { key } of storage.scan()) {
            keys.push(key[0] as number);
          }
          return Uint8Array.from(keys);
        },
      },
      async *fold() {
        for await (const { key } of storage.scan()) {
          yield { sortKey: key, item: key };
        }
      },
      itemAt: async (sortKey) =>
        await storage.get(sortKey) === undefined
          ? undefined
          : { sortKey, item: sortKey },
      encodeHandoffItem: ({ sortKey }) => sortKey,
      handleHandoffData: (key) =>
        new Promise((resolve, reject) =>
          storage.write(
            [{ key: key.slice(), value: Uint8Array.of(1) }],
            (error) => error === undefined ? resolve() : reject(error),
          )
        ),
      isEmpty: async () => await storage.count() === 0,
      delete: () => storage.deleteRange(),
    }),
  });
}

/** What came of a burst. */
interface Burst {
  readonly written: readonly number[];
  readonly refusals: readonly string[];
}

/** What clients saw, and how full mailboxes were: the fullest of `kind`, as a share of its bound. */
async function play(
  seed: number,
  slow: VnodeModule<SlowCommands>,
  kind: QueueKind,
): Promise<{ seen: Record<string, number>; share: number }> {
  const seen: Record<string, number> = {};
  const { violations, fullest } = await simulate({
    seed,
    vnode: slow,
    faults: ["slow_disk"],
    operations: 30,
    workload: async ({ number, record }) => {
      const key = `k${number % 3}`;
      await record(key, "burst", async (cluster): Promise<Burst> => {
        const numbers = Array.from(
          { length: BURST },
          (_, i) => (number * BURST + i) % 256,
        );
        const written: number[] = [];
        const refusals: string[] = [];
        await Promise.all(numbers.map(async (number) => {
          try {
            await cluster.module(slow).request("b", key, "write", {
              number,
              padding: PADDING,
            }, ONCE);
            written.push(number);
          } catch (error) {
            if (!isWhorlError(error)) throw error;
            refusals.push(error.code);
          }
        }));
        return { written, refusals };
      });
    },
    check: async ({ history, nodes, eventually }) => {
      const problems: string[] = [];
      for (const { key, outcome, output } of history) {
        if (outcome !== "ok") continue;
        const { written, refusals } = output as Burst;
        seen.written = (seen.written ?? 0) + written.length;
        for (const code of refusals) seen[code] = (seen[code] ?? 0) + 1;
        const { replies } = await eventually(
          `Reading ${key}`,
          () =>
            nodes[0]!.module(slow).request("b", key, "read", null, {
              n: 1,
              r: 1,
            }),
        );
        const stored = new Set(replies[0]);
        for (const number of written) {
          if (!stored.has(number)) problems.push(`${number} is lost in ${key}`);
        }
      }
      for (const node of nodes) {
        const { values } = await node.stats();
        for (const figure of ["mailbox.requests", "mailbox.overloaded"]) {
          const value = values[`slow-0.${figure}`];
          if (value !== 0) problems.push(`${node.name} has ${figure} ${value}`);
        }
      }
      return problems.map((message) => ({ check: "overload", message }));
    },
  });
  assertEquals(violations, [], `seed ${seed}`);
  return { seen, share: fullest[kind].length / fullest[kind].bound };
}

/** What came of ten seeds together, and how full the fullest mailbox of all was. */
async function playTen(
  bound: Partial<MailboxBounds>,
  kind: QueueKind,
): Promise<{ all: Record<string, number>; share: number }> {
  const slow = slowModule(bound);
  const all: Record<string, number> = {};
  let most = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const { seen, share } = await play(seed, slow, kind);
    most = Math.max(most, share);
    for (const [what, count] of Object.entries(seen)) {
      all[what] = (all[what] ?? 0) + count;
    }
  }
  return { all, share: most };
}

Deno.test("bursts for slow vnodes are refused in part, and what was acknowledged is kept, in 10 seeds", async () => {
  const { all, share } = await playTen(
    { requestsMax: REQUESTS_MAX },
    "mailbox",
  );
  // Most of what comes is taken, and some of it must have been too much.
  assert((all.written ?? 0) > 500, JSON.stringify(all));
  assert((all.overload ?? 0) > 100, JSON.stringify(all));
  assertEquals(share, 1);
});

Deno.test("so are bursts of large commands, by the bytes that may wait", async () => {
  const { all, share } = await playTen(
    { bytesMax: BYTES_MAX },
    "mailbox_bytes",
  );
  assert((all.written ?? 0) > 500, JSON.stringify(all));
  assert((all.overload ?? 0) > 100, JSON.stringify(all));
  assert(share > 0.75 && share <= 1, `${share}`);
});
