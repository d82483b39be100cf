/**
 * Nodes that fall, fall silent, come back, and are started twice.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { TestNode } from "../../harness/test_node.ts";
import {
  DURABLE,
  missed,
  refused,
  type Scenario,
  threeNodes,
} from "./scenario.ts";

/** Milliseconds in which the fall of a node is noticed; asked for is one second. */
const KILLED_NOTICED_MS_MAX = 1_000;
/** Milliseconds in which requests go round a silent node; asked for are three seconds. */
const SILENT_NOTICED_MS_MAX = 3_000;

const KEYS = Array.from({ length: 40 }, (_, i) => `k${i}`);

/** See the module comment. */
export const FAILURE_SCENARIOS: readonly Scenario[] = [
  {
    name:
      "a killed node is noticed in under a second, and puts and gets continue",
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await putAll(first, "before");
      const marks = [first, second].map(({ events }) => events.mark);
      const killedAt = performance.now();
      await third.kill();
      for (const [i, node] of [first, second].entries()) {
        const { atMs } = await node.events.until(
          `the fall of ${third.name}`,
          marks[i] as number,
          ({ type, node }) => type === "node_down" && node === third.name,
        );
        assert(
          atMs - killedAt < KILLED_NOTICED_MS_MAX,
          `${node.name} noticed after ${atMs - killedAt} ms`,
        );
        assertEquals(
          (await node.control.clusterStatus()).unreachable,
          [third.name],
        );
      }
      await assertAll(second, "before");
      await putAll(second, "after");
      await assertAll(first, "after");
      const { replicas } = await first.kv.get("b", KEYS[0] as string, {
        r: "all",
      });
      assert(replicas.some(({ primary }) => !primary), "no fallback answered");
    },
  },
  {
    name: "pending requests are all answered when a node is killed",
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      const writes = KEYS.map((key) => first.kv.put("b", key, key));
      const kill = third.kill();
      const outcomes = await Promise.allSettled(writes);
      await kill;
      for (const [i, outcome] of outcomes.entries()) {
        // A write whose coordinator was lost may or may not have happened.
        if (outcome.status === "fulfilled") {
          const { value } = await first.kv.get("b", KEYS[i] as string);
          assertEquals(value, KEYS[i]);
        } else {
          assert(
            ["coordinator_lost", "connection_closed", "quorum_unavailable"]
              .includes(outcome.reason.code),
            outcome.reason,
          );
        }
      }
    },
  },
  {
    name:
      "a paused node is bypassed in under three seconds, and is back when it resumes",
    kinds: ["processes"],
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await putAll(first, "before");
      const mark = first.events.mark;
      const pausedAt = performance.now();
      third.pause();
      const { atMs } = await first.events.until(
        `the silence of ${third.name}`,
        mark,
        ({ type, up }) =>
          type === "services_changed" &&
          !(up as string[]).includes(third.name),
      );
      assert(
        atMs - pausedAt < SILENT_NOTICED_MS_MAX,
        `noticed after ${atMs - pausedAt} ms`,
      );
      await putAll(first, "meanwhile");
      const resumed = first.events.mark;
      third.resume();
      await first.events.until(
        `the return of ${third.name}`,
        resumed,
        ({ type, up }) =>
          type === "services_changed" && (up as string[]).includes(third.name),
      );
      await cluster.settled();
      await assertAll(third, "meanwhile");
      await assertAll(second, "meanwhile");
    },
  },
  {
    name:
      "writes to a paused node's keys succeed before its silence is noticed",
    kinds: ["processes"],
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      third.pause();
      // Two of three replicas are enough, and those the paused one would
      // coordinate are answered in the end.
      const outcomes = await Promise.allSettled(
        KEYS.map((key) => first.kv.put("b", key, "now")),
      );
      third.resume();
      const done = outcomes.filter(({ status }) => status === "fulfilled");
      assert(done.length > 0, "no write succeeded");
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome.status !== "fulfilled") continue;
        assertEquals(
          (await second.kv.get("b", KEYS[i] as string)).values,
          ["now"],
        );
      }
    },
  },
  {
    name:
      "requests that wait for a paused node are answered when its silence is noticed, and its late answers do no harm",
    kinds: ["processes"],
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await putAll(first, "before");
      const alone: string[] = [];
      for (const key of KEYS) {
        const { replicas } = await first.kv.get("late", key, {
          n: 1,
          r: 1,
        });
        if (replicas[0]?.node === third.name) alone.push(key);
      }
      assert(alone.length > 0, "the node is first for no key");

      third.pause();
      const pausedAt = performance.now();
      // Sent on to it, read from it, and written to it as one of three.
      const requests = alone.flatMap((key) => [
        refused(
          "node_suspected",
          () => first.kv.put("late", key, "late", { n: 1, w: 1 }),
        ),
        refused(
          "quorum_unavailable",
          () => first.kv.get("late", key, { n: 1, r: 1 }),
        ),
        refused(
          "quorum_unavailable",
          () => first.kv.put("c", key, "now", { w: "all", quorum: "strict" }),
        ),
      ]);
      const answeredMs = requests.map((request) =>
        request.then(() => performance.now() - pausedAt)
      );
      const slowest = Math.max(...await Promise.all(answeredMs));
      assert(slowest < SILENT_NOTICED_MS_MAX, `answered after ${slowest} ms`);
      for (const [i, request] of requests.entries()) {
        const { details } = await request;
        if (i % 3 === 0) assertEquals(details, { node: third.name });
        else {
          const answers = details.answers as { node: string; code?: string }[];
          assertEquals(
            answers.filter(({ code }) => code !== undefined)
              .map(({ node, code }) => [node, code]),
            answers.filter(({ node }) => node === third.name)
              .map(({ node }) => [node, "node_suspected"]),
          );
        }
      }
      // From now on it counts as down.
      await refused(
        "insufficient_vnodes",
        () =>
          first.kv.get("late", alone[0] as string, {
            n: 1,
            r: 1,
            quorum: "strict",
          }),
      );

      const mark = first.events.mark;
      third.resume();
      await first.events.until(
        `the return of ${third.name}`,
        mark,
        ({ type, up }) =>
          type === "services_changed" && (up as string[]).includes(third.name),
      );
      await cluster.settled();
      await putAll(first, "after");
      await assertAll(second, "after");
      // A write of unknown outcome has happened once, late, or not at all.
      for (const key of alone) {
        const { values } = await first.kv.get("late", key, { n: 1, r: 1 });
        assert(values.every((value) => value === "late"), `${key}: ${values}`);
      }
    },
  },
  {
    name:
      "a restarted node is back without joining again, and reads bring it up to date",
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await putAll(first, "old");
      const { incarnation } = await third.control.info();
      const { owners } = await first.control.ringStatus();
      const mark = first.events.mark;
      await third.kill();
      await first.events.until(
        "the fall",
        mark,
        ({ type, node }) => type === "node_down" && node === third.name,
      );
      await putAll(first, "new");

      await third.start();
      await cluster.settled();
      assertEquals((await third.control.ringStatus()).owners, owners);
      assert((await third.control.info()).incarnation > incarnation);

      // A read that hears all replicas repairs those that are behind; the second
      // one goes the same way after the repairs and finds nothing to do.
      await assertAll(first, "new");
      const repairs = await repairsOf(first);
      assert(repairs > 0, "nothing was repaired");
      await assertAll(first, "new");
      assertEquals(await repairsOf(first), repairs);

      // It is alone now, and only what it stored itself can answer. A ring of
      // 16 has a few keys with two replicas on one node and none on another.
      const held: string[] = [];
      for (const key of KEYS) {
        const { replicas } = await first.kv.get("b", key, { r: "all" });
        if (replicas.some(({ node }) => node === third.name)) held.push(key);
      }
      assert(held.length > KEYS.length / 2, `it holds ${held.length}`);
      await Promise.all([first.kill(), second.kill()]);
      for (const key of held) {
        const { values } = await third.kv.get("b", key, {
          r: 1,
          quorum: "strict",
        });
        assertEquals(values, ["new"]);
      }
    },
  },
  {
    name: "a node that comes back at another address is found there",
    cluster: DURABLE,
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      await putAll(first, "old");
      const before = third.address;
      await third.stop();
      await third.start({ listen: before.replace(/:\d+$/, ":0") });
      assert(third.address !== before || cluster.kind === "processes");
      await cluster.settled();
      await assertAll(third, "old");
    },
  },
  {
    name:
      "the whole cluster is stopped and started, and keeps its data and ring",
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await putAll(second, "kept");
      const { owners } = await first.control.ringStatus();
      await Promise.all(cluster.nodes.map((node) => node.stop()));
      await cluster.startAll();
      await cluster.settled();
      for (const node of [first, second, third]) {
        assertEquals((await node.control.ringStatus()).owners, owners);
        await assertAll(node, "kept");
      }
    },
  },
  {
    name:
      "the whole cluster is killed and started, and keeps what it acknowledged",
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await putAll(second, "kept");
      await Promise.all(cluster.nodes.map((node) => node.kill()));
      await cluster.startAll();
      await cluster.settled();
      for (const node of [first, second, third]) await assertAll(node, "kept");
    },
  },
  {
    name: "without its claimant a cluster serves, and says why it cannot plan",
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      assertEquals((await second.control.ringStatus()).claimant, first.name);
      await first.stop();
      await missed([second, third], first);
      await putAll(second, "without");
      await assertAll(third, "without");
      const error = await refused(
        "not_reachable",
        () => second.control.plan(),
      );
      assertStringIncludes(
        error.message,
        `the claimant, ${first.name}, cannot be reached: start it, or, if it stays away, mark it as down`,
      );
      await first.start();
      await cluster.settled();
      assertEquals((await second.control.plan()).changes, []);
    },
  },
  {
    name: "a newer incarnation of a node replaces the older one",
    kinds: ["processes"],
    cluster: DURABLE,
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      await putAll(first, "old");
      third.pause();
      const copy = `${cluster.folder}/copy`;
      await copyFolder(`${cluster.folder}/dev3`, copy);
      const mark = first.events.mark;
      const newer = cluster.addNode(2, {
        dataDirectory: copy,
        listen: "127.0.0.1:0",
      });
      await newer.start();
      await first.events.until(
        "the newer incarnation",
        mark,
        ({ type, node }) => type === "node_up" && node === third.name,
      );
      third.resume();
      assert(await newer.control.settled(20_000));
      await putAll(newer, "through the newer");
      await assertAll(first, "through the newer");
      // The older one has no links left; it must not have pushed out the newer.
      assertEquals((await newer.control.clusterStatus()).unreachable, []);
    },
  },
];

/** Replaces every key's value, through `node`. */
async function putAll(node: TestNode, value: string): Promise<void> {
  await Promise.all(KEYS.map(async (key) => {
    const { context } = await node.kv.get("b", key);
    await node.kv.put("b", key, value, context === null ? {} : { context });
  }));
}

/** Every key has this value and no other, as `node` and all replicas see it. */
async function assertAll(node: TestNode, value: string): Promise<void> {
  for (const key of KEYS) {
    const { values } = await node.kv.get("b", key, { r: "all" });
    assertEquals(values, [value], key);
  }
}

async function repairsOf(node: TestNode): Promise<number> {
  return (await node.control.stats()).values["requests.repairs"] ?? 0;
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { mode: 0o700 });
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (isFile) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}
