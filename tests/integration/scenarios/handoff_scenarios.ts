/**
 * Data that follows the members, after riak_test's verify_build_cluster,
 * verify_handoff, gh_riak_core_154, gh_riak_core_155, gh_riak_core_176 and
 * partition_repair, and what tutorials tell of hints.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isWhorlError } from "../../../src/base/errors.ts";
import type { TestCluster } from "../../harness/test_cluster.ts";
import { until } from "../../harness/until.ts";
import type { TestNode } from "../../harness/test_node.ts";
import counterModule from "../../fixtures/counter_vnode.ts";
import notesModule, { holdNextRemoval } from "../../fixtures/notes_vnode.ts";
import slowModule, { SLOW_FOLD_MS } from "../../fixtures/slow_vnode.ts";
import {
  allHome,
  assertKeys,
  assertReplicas,
  BUCKET,
  commitStaged,
  forEach,
  joinOne,
  keysOf,
  leaveOne,
  leftByItself,
  straysOf,
  valueOf,
  writeKeys,
} from "./cluster_data.ts";
import {
  DURABLE,
  fourNodes,
  missed,
  type Scenario,
  threeNodes,
} from "./scenario.ts";

const FIXTURES = new URL("../../fixtures/", import.meta.url);
const [SLOW, COUNTER, NOTES] = [
  "slow_vnode.ts",
  "counter_vnode.ts",
  "notes_vnode.ts",
].map((file) => new URL(file, FIXTURES).href) as [string, string, string];
/** One vnode has each key: nothing but its handoff can save it. */
const ALONE = { n: 1, r: 1, w: 1 } as const;
const REPAIRS_MS_MAX = 30_000;
const RETURN_MS_MAX = 20_000;
const UNLIKELY_CODES: readonly string[] = ["internal", "protocol_error"];

/** See the module comment. */
export const HANDOFF_SCENARIOS: readonly Scenario[] = [
  {
    // verify_build_cluster
    name:
      "a cluster grows to four with a thousand keys, loses two for a while, and shrinks to one",
    kinds: ["processes"],
    cluster: { ...DURABLE, nodes: 4 },
    joined: false,
    async play(cluster) {
      const [first, second, third, fourth] = fourNodes(cluster);
      for (const { control, name } of cluster.nodes) {
        const { nodes, owners } = await control.ringStatus();
        assertEquals(nodes, [name]);
        assert(owners.every((owner) => owner === 0));
      }
      const keys = keysOf(1000);
      await writeKeys(first, keys);
      await using reading = readThroughout(first, keys);
      for (const node of [second, third, fourth]) {
        await joinOne(cluster, node, first);
        await assertReplicas(cluster, node, keys);
      }
      await allHome(cluster);
      await reading.stop();

      await third.kill();
      await assertKeys(first, keys);
      await fourth.kill();
      // Two of three replicas may be away, and two fallbacks be asked in their place.
      await assertKeys(second, keys, 1, "all");
      await writeKeys(second, keys, 2);
      await third.start();
      await fourth.start();
      await cluster.settled();
      await allHome(cluster);
      await assertReplicas(cluster, fourth, keys, 2);

      await using readingOn = readThroughout(first, keys, 2);
      for (const node of [fourth, third, second]) {
        await leaveOne(cluster, node, first);
        await assertReplicas(cluster, first, keys, 2);
      }
      await readingOn.stop();
      const { nodes, owners } = await first.control.ringStatus();
      assertEquals(nodes, [first.name]);
      assert(owners.every((owner) => owner === 0));
    },
  },
  {
    // verify_leave, with data; the tutorial's story of ownership.
    name: "a leaving member hands over what only it has, and joins again empty",
    long: true,
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      const keys = keysOf(200);
      await forEach(
        keys,
        async (key) => void await first.kv.put(BUCKET, key, key, ALONE),
      );
      const readAll = (node: TestNode) =>
        forEach(keys, async (key) => {
          const { values } = await node.kv.get(BUCKET, key, ALONE);
          assertEquals(values, [key], `through ${node.name}`);
        });
      await leaveOne(cluster, third, first);
      await readAll(second);
      // It has been given a ring of its own, and nothing to hold.
      await third.start();
      assertEquals((await third.control.ringStatus()).nodes, [third.name]);
      for (const key of keys.slice(0, 50)) {
        assertEquals((await third.kv.get(BUCKET, key, ALONE)).values, []);
      }
      await joinOne(cluster, third, second);
      await readAll(third);
      // The claimant goes likewise.
      await leaveOne(cluster, first, second);
      await readAll(third);
    },
  },
  {
    name:
      "partitions that were emptied where they went come back empty, though the rest of them is still there",
    // The test holds a removal up.
    kinds: ["in_process"],
    cluster: { nodes: 2, modules: [NOTES] },
    joined: false,
    async play(cluster) {
      const [first, second] = cluster.nodes as [TestNode, TestNode];
      const keys = keysOf(64);
      await using client = await cluster.client([first.address]);
      const notes = client.module(notesModule);
      const write = (text: string | null): Promise<void> =>
        forEach(keys, async (name) => {
          await notes.request(BUCKET, name, "put", { name, text }, ALONE);
        });
      await write("a note");
      // Removals come one after the other.
      const removal = Promise.withResolvers<void>();
      using _ = { [Symbol.dispose]: removal.resolve };
      holdNextRemoval(removal.promise);
      await joinOne(cluster, second, first);
      const rest = (await straysOf(cluster)).filter((stray) =>
        stray.startsWith(`${first.name}: notes/`)
      );
      assert(rest.length > 2, "the first node has removed what went");
      await write(null);

      const mark = second.events.mark;
      await first.control.leave(second.name);
      await commitStaged(first.control);
      // One of them is being removed, and does not come back before it is.
      await until(
        "all but one partition are the first node's again",
        async () => {
          const { owners, nodes } = await first.control.ringStatus();
          const away = owners.filter((owner) => nodes[owner] !== first.name);
          return away.length <= 1;
        },
        RETURN_MS_MAX,
      );
      removal.resolve();
      await leftByItself(second, mark);
      await cluster.settled();
      await forEach(keys, async (name) => {
        const { replies } = await notes.request(
          BUCKET,
          name,
          "get",
          { name },
          ALONE,
        );
        assertEquals(replies, [null], name);
      });
    },
  },
  {
    // verify_staged_clustering's replacements, with data.
    name: "a replacement gets what only the replaced node had",
    long: true,
    cluster: { nodes: 4, ...DURABLE },
    joined: false,
    async play(cluster) {
      const [first, second, third, fourth] = fourNodes(cluster);
      await joinOne(cluster, second, first);
      await joinOne(cluster, third, first);
      const keys = keysOf(200);
      await forEach(
        keys,
        async (key) => void await first.kv.put(BUCKET, key, key, ALONE),
      );
      const { owners, nodes } = await first.control.ringStatus();
      await fourth.control.join(second.address);
      await first.control.replace(third.name, fourth.name);
      const mark = third.events.mark;
      await commitStaged(second.control);
      await leftByItself(third, mark);
      await cluster.settled();
      const after = await first.control.ringStatus();
      assertEquals(
        after.owners.map((owner) => after.nodes[owner]),
        owners.map((owner) =>
          nodes[owner] === third.name ? fourth.name : nodes[owner]
        ),
      );
      await forEach(keys, async (key) => {
        const { values } = await second.kv.get(BUCKET, key, ALONE);
        assertEquals(values, [key]);
      });
    },
  },
  {
    // verify_handoff: an artificial delay in the fold, every way of encoding.
    name:
      "nodes join one by one while a module is slow to iterate, and no write is lost",
    cluster: {
      nodes: 4,
      modules: [SLOW, COUNTER],
      // What is slow is waited for side by side.
      each: () => ({ handoffConcurrency: 64 }),
    },
    joined: false,
    async play(cluster) {
      const [first, ...others] = cluster.nodes as [TestNode, ...TestNode[]];
      const keys = keysOf(1000);
      await using client = await cluster.client([first.address]);
      const slow = client.module(slowModule);
      const write = async (name: string, version: number): Promise<void> => {
        const body = { name, text: valueOf(name, version) };
        await slow.request(BUCKET, name, "put", body, ALONE);
      };
      await forEach(keys, (key) => write(key, 1));
      await writeKeys(first, keys);
      await using counting = countThroughout(cluster, first);
      for (const [i, node] of others.entries()) {
        await node.control.join(first.address);
        const mark = first.events.mark;
        const committedAt = performance.now();
        await commitStaged(first.control);
        // Every key is written once more while its partition may be on its way.
        await forEach(keys, (key) => write(key, i + 2));
        await cluster.settled();
        if (i === 0) {
          const tookMs = performance.now() - committedAt;
          assert(tookMs > SLOW_FOLD_MS, `settled in ${tookMs} ms`);
        }
        // What is silent for a while is not broken off.
        const broken = first.events.since(
          mark,
          ({ type, outcome }) =>
            type === "transfer" &&
            (outcome as { code?: string }).code === "timeout",
        );
        assertEquals(broken, []);
        await using joined = await cluster.client([node.address]);
        await forEach(keys, async (name) => {
          const { replies } = await joined.module(slowModule).request(
            BUCKET,
            name,
            "get",
            { name },
            ALONE,
          );
          assertEquals(replies, [valueOf(name, i + 2)], node.name);
        });
        await assertReplicas(cluster, node, keys);
      }
      await counting.stop();
      await allHome(cluster);
    },
  },
  {
    // gh_riak_core_154, and the tutorial's story of hints.
    name:
      "hinted writes survive a restart of the fallback, and are handed off when the owner is back",
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      const all = keysOf(400);
      const [keys, acknowledged] = [all.slice(0, 200), all.slice(200)];
      await third.kill();
      await missed([first, second], third);
      // By all replicas, those on fallbacks among them: what was under way still
      // when its node is killed would be lost, as it may be.
      await forEach(keys, async (key) => {
        await first.kv.put(BUCKET, key, valueOf(key, 1), { w: "all" });
      });
      // By as many as are asked for as a rule, whatever becomes of the others.
      await writeKeys(first, acknowledged);
      for (const node of [first, second]) {
        await node.kill();
        await node.start();
      }
      await first.control.settled(1); // It cannot: the third is away.
      const strays = await straysOf(cluster);
      assert(strays.length > 0, "nobody holds anything for the third");
      await assertKeys(second, keys);
      // Whoever takes the other one for gone asks fallbacks in its place.
      await missed([first, second], third);
      await assertKeys(second, acknowledged);
      await third.start();
      await cluster.settled();
      await allHome(cluster);
      await assertReplicas(cluster, first, keys);
      // It has them itself: nobody else is there to be asked.
      const held: string[] = [];
      await forEach(keys, async (key) => {
        const { replicas } = await first.kv.get(BUCKET, key, {
          r: "all",
          quorum: "strict",
        });
        if (replicas.some(({ node }) => node === third.name)) held.push(key);
      });
      await Promise.all([first.kill(), second.kill()]);
      await forEach(held, async (key) => {
        const { values } = await third.kv.get(BUCKET, key, {
          r: 1,
          quorum: "strict",
        });
        assertEquals(values, [valueOf(key, 1)]);
      });
    },
  },
  {
    // gh_riak_core_155
    name:
      "requests that arrive while a node is starting are answered, and do not bring it down",
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      const keys = keysOf(50);
      await writeKeys(first, keys);
      let stopped = false;
      let answered = 0;
      const hammer = async (node: TestNode, seed: number): Promise<void> => {
        for (let i = seed; !stopped; i++) {
          try {
            // A client of its own, to be there before the masters are.
            await using client = await cluster.client([node.address]);
            for (let ask = 0; ask < 5 && !stopped; ask++) {
              await client.kv.get(BUCKET, keys[i % keys.length] as string, {
                timeoutMs: 1_000,
              });
              answered++;
            }
          } catch (error) {
            if (!isWhorlError(error) || UNLIKELY_CODES.includes(error.code)) {
              throw error;
            }
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
        }
      };
      const hammering = Promise.all(
        [0, 1, 2, 3].map((seed) => hammer(seed < 2 ? third : first, seed)),
      );
      for (let round = 0; round < 3; round++) {
        await third.kill();
        await third.start();
        assert(third.running);
      }
      await cluster.settled();
      stopped = true;
      await hammering;
      assert(answered > 0, "nothing was answered");
      assert(third.running, "it is down");
      assertEquals((await third.control.tree()).id, "node");
      await assertKeys(third, keys);
      await assertKeys(second, keys);
    },
  },
  {
    // gh_riak_core_176
    name:
      "data goes to a node's advertised address, even if it listens elsewhere",
    kinds: ["processes"],
    cluster: { nodes: 1 },
    async play(cluster) {
      const first = cluster.node(0);
      const keys = keysOf(100);
      await writeKeys(first, keys);
      const listens = freeAddress();
      await using door = new Door(listens);
      const behind = cluster.addNode(1, {
        listen: listens,
        advertise: door.address,
      });
      const anywhere = freeAddress();
      const open = cluster.addNode(2, {
        listen: anywhere.replace("127.0.0.1", "0.0.0.0"),
        advertise: anywhere,
      });
      for (const node of [behind, open]) {
        await node.start();
        await joinOne(cluster, node, first);
        assert(await node.control.settled(20_000));
        const { owners, nodes } = await node.control.ringStatus();
        const place = nodes.indexOf(node.name);
        assert(owners.filter((owner) => owner === place).length >= 5);
        assertEquals(node.address, (await node.control.info()).address);
      }
      assertEquals(behind.address, door.address);
      assert(door.connections > 0, "nobody came through the door");
      await assertReplicas(cluster, first, keys);
      await assertReplicas(cluster, behind, keys);
      await assertReplicas(cluster, open, keys);
    },
  },
  {
    // partition_repair
    name:
      "a wiped store is rebuilt from its neighbours, partition by partition",
    long: true,
    cluster: DURABLE,
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      const keys = keysOf(300);
      await writeKeys(first, keys);
      await third.stop();
      const home = `${cluster.folder}/dev3`;
      let wiped = 0;
      for (const { name } of [...Deno.readDirSync(home)]) {
        if (!name.startsWith("kv-0.kv")) continue;
        await Deno.remove(`${home}/${name}`);
        wiped++;
      }
      assert(wiped > 0, "there was no store to wipe");
      await third.start();
      await cluster.settled();
      const { owned } = await third.control.held();
      for (const partition of owned) {
        const [repair] = await third.control.repair(partition);
        assertEquals(repair?.partition, partition);
        // It has begun some of them by itself, as it knows that its store is gone:
        // what ends first may be one of those, and not the one asked for.
        await until(
          "no repair runs",
          async () =>
            (await third.control.repairs())
              .every(({ state }) => state !== "running"),
          REPAIRS_MS_MAX,
        );
      }
      const repairs = await third.control.repairs();
      assertEquals(repairs.filter(({ state }) => state !== "done"), []);
      for (const partition of owned) {
        assert(repairs.some((repair) => repair.partition === partition));
      }
      await assertReplicas(cluster, first, keys);
    },
  },
];

/** Reads of all keys, again and again, which must show `version` until they are stopped. */
function readThroughout(
  node: TestNode,
  keys: readonly string[],
  version = 1,
): Throughout {
  return new Throughout(async (turn) => {
    const key = keys[(turn * 7919) % keys.length] as string;
    const { values } = await node.kv.get(BUCKET, key);
    assertEquals(values, [valueOf(key, version)], "while members change");
  });
}

/** Counts in a module that has to send its commands after its items; in the end every count is exact. */
function countThroughout(cluster: TestCluster, node: TestNode): Throughout {
  const names = keysOf(40);
  const counted = new Map<string, number>();
  const client = cluster.client([node.address]);
  const ask = async (
    name: string,
    command: "add" | "read",
    by: number,
  ): Promise<number | undefined> => {
    const counter = (await client).module(counterModule);
    const { replies } = command === "add"
      ? await counter.request(BUCKET, name, "add", { name, by }, ALONE)
      : await counter.request(BUCKET, name, "read", { name }, ALONE);
    return replies[0];
  };
  return new Throughout(async (turn) => {
    const name = names[turn % names.length] as string;
    // One at a time, so that each sum is the one before and one more.
    const sum = (counted.get(name) ?? 0) + 1;
    assertEquals(await ask(name, "add", 1), sum, name);
    counted.set(name, sum);
  }, async () => {
    await using _ = await client;
    for (const [name, sum] of counted) {
      assertEquals(await ask(name, "read", 0), sum, name);
    }
  });
}

/** Something done over and over beside a scenario; its failure is that of `stop`. */
class Throughout implements AsyncDisposable {
  #stopped = false;
  #running: Promise<unknown>;
  readonly #after: () => Promise<void>;

  constructor(
    work: (turn: number) => Promise<void>,
    after: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#after = after;
    this.#running = (async () => {
      for (let turn = 0; !this.#stopped; turn++) {
        await work(turn);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    // Told by stop().
    this.#running.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#after();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#running.catch(() => {});
  }
}

/** An address on this machine that nobody listens at. */
function freeAddress(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `127.0.0.1:${listener.addr.port}`;
}

/** Another address, from which connections go on to `target`. */
class Door implements AsyncDisposable {
  readonly address: string;
  connections = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #streams = new Set<Deno.Conn>();
  readonly #target: { hostname: string; port: number };
  readonly #accepting: Promise<void>;

  constructor(target: string) {
    const [hostname, port] = target.split(":") as [string, string];
    this.#target = { hostname, port: Number(port) };
    this.address = `127.0.0.1:${this.#listener.addr.port}`;
    this.#accepting = this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const outside of this.#listener) {
      this.connections++;
      this.#pass(outside).catch(() => {
        // One end has gone; the other is told by the end of its connection.
      });
    }
  }

  async #pass(outside: Deno.Conn): Promise<void> {
    this.#streams.add(outside);
    const inside = await Deno.connect(this.#target).catch(() => undefined);
    if (inside === undefined) return outside.close();
    this.#streams.add(inside);
    await Promise.allSettled([
      outside.readable.pipeTo(inside.writable),
      inside.readable.pipeTo(outside.writable),
    ]);
    this.#streams.delete(outside);
    this.#streams.delete(inside);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const stream of this.#streams) {
      try {
        stream.close();
      } catch (error) {
        // Its own stream has closed it.
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    }
  }
}
