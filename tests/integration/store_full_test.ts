/**
 * A disk that is full: the write that meets it is told so, what was acknowledged
 * stays, and the store works again once it is opened with space to spare. A node
 * on such a disk lives on, and serves again when there is space.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { openStore } from "../../src/storage/open_store.ts";
import { put } from "../../src/storage/testing/store_calls.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";
import { childAt, restartsOf } from "../harness/node_parts_view.ts";
import { withCluster } from "../harness/test_cluster.ts";
import type { TestNode } from "../harness/test_node.ts";

/** Runs a program and tells whether it succeeded. */
async function run(program: string, ...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command(program, {
    args,
    stderr: "null",
  }).output();
  return success;
}

const isLinuxRoot = Deno.build.os === "linux" && Deno.uid() === 0;

/** Mounting a small file system takes root; where it isn't given, nothing here can be full. */
const canMount = isLinuxRoot && await (async () => {
  const probe = await Deno.makeTempDir();
  try {
    return await run("mount", "-t", "tmpfs", "-o", "size=64k", "none", probe) &&
      await run("umount", probe);
  } finally {
    await Deno.remove(probe);
  }
})();

/** Runs `test` in a folder that is a disk of its own, of `size` as `mount` writes it. */
async function withSmallDisk(
  size: string,
  test: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "whorl-full-" });
  assert(
    await run("mount", "-t", "tmpfs", "-o", `size=${size}`, "none", folder),
  );
  try {
    await test(folder);
  } finally {
    assert(await run("umount", folder));
    await Deno.remove(folder);
  }
}

/** Takes what space the disk at `folder` has; returns what gives it back. */
async function fill(folder: string): Promise<() => Promise<void>> {
  const path = `${folder}/ballast`;
  using file = await Deno.open(path, { write: true, create: true });
  for (let size = 65_536; size > 0;) {
    try {
      await file.write(new Uint8Array(size));
    } catch {
      // No room for that much, but perhaps for less.
      size = Math.floor(size / 2);
    }
  }
  return () => Deno.remove(path);
}

Deno.test({
  name:
    "Deno KV store reports store_full on a full disk and loses nothing acknowledged",
  ignore: !canMount,
  fn: () =>
    withSmallDisk("3m", async (folder) => {
      const config = { type: "deno_kv", path: `${folder}/store` } as const;
      const key = (i: number) => new Uint8Array([i >> 8, i]);
      const value = (i: number) => new Uint8Array(1000).fill(i);
      // Space that a person could free.
      await Deno.writeFile(`${folder}/ballast`, new Uint8Array(1_000_000));
      let acknowledged = 0;
      {
        await using store = await openStore(config, systemStorage);
        const partition = store.partition(0);
        let failure: Error | undefined;
        for (let i = 0; failure === undefined; i++) {
          failure = await new Promise((resolve) =>
            partition.write([{ key: key(i), value: value(i) }], resolve)
          );
          if (failure === undefined) acknowledged++;
        }
        if (!(failure instanceof WhorlError)) throw failure;
        assertEquals(failure.code, "store_full");
        assert(failure.message.includes(config.path));
        assert(acknowledged > 10);
        const later = assertThrows(
          () => partition.write([], () => {}),
          WhorlError,
        ) as WhorlError;
        assertEquals(later.code, "store_full");
        assertEquals(await partition.get(key(0)), value(0));
      }
      await Deno.remove(`${folder}/ballast`);
      await using store = await openStore(config, systemStorage);
      assert(!store.state.tailLost);
      const partition = store.partition(0);
      for (let i = 0; i < acknowledged; i++) {
        assertEquals(await partition.get(key(i)), value(i));
      }
      await put(partition, { key: key(0), value: key(7) });
      assertEquals(await partition.get(key(0)), key(7));
    }),
});

/** Longest time a request may take that meets a full disk: nobody waits for the disk. */
const PROMPT_MS = 2_000;

/** The masters of a node that has two. */
const MASTERS = ["kv-0", "kv-1"];
/** More than what is left in pages that a store has already. */
const LARGE = "x".repeat(4_000);

/** Lets the disk have its turn, which answers from memory do not. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** The outcome of `request` and how long it took. */
async function timed<T>(
  request: Promise<T>,
): Promise<{ code: string; tookMs: number }> {
  const startedAt = performance.now();
  const code = await request.then(() => "ok", (error) => {
    if (error instanceof WhorlError) return error.code;
    throw error;
  });
  return { code, tookMs: performance.now() - startedAt };
}

/** Resolves when a master of `node` has told `type` from `mark` on. */
function told(node: TestNode, mark: number, type: string): Promise<unknown> {
  return node.events.until(type, mark, (event) => event.type === type);
}

for (const masterPlacement of ["task", "worker", "subprocess"] as const) {
  Deno.test({
    name:
      `a node with a full disk survives, answers at once and recovers on its own, masters placed as ${masterPlacement}`,
    ignore: !canMount,
    fn: () =>
      withSmallDisk("32m", (folder) =>
        withCluster({
          kind: "in_process",
          each: (index) =>
            index !== 1 ? {} : {
              storage: "deno_kv",
              dataDirectory: `${folder}/dev2`,
              masterPlacement,
              masters: 2,
            },
        }, async (cluster) => {
          await cluster.joinAll();
          const full = cluster.node(1);
          const node = full.inside as WhorlNode;
          const { kv } = full;
          await kv.put("b", "before", "kept", { w: "all" });

          const free = await fill(folder);
          const mark = full.events.mark;
          const restarts = restartsOf(node);
          const stored: string[] = [];
          const put = async (key: string): Promise<string> => {
            const { code, tookMs } = await timed(kv.put("b", key, LARGE));
            assert(tookMs < PROMPT_MS, `${code} after ${tookMs} ms`);
            if (code === "ok") stored.push(key);
            return code;
          };
          // Writes go on until both masters have met the full disk; each of them
          // has a few more tries then.
          const waits = (master: string): number =>
            full.events.since(
              mark,
              (event) =>
                event.type === "master_waiting" && event.master === master,
            ).length;
          for (let i = 0; MASTERS.some((id) => waits(id) === 0); i++) {
            const code = await put(`k${i}`);
            // Some keys have two of their three replicas there.
            assert(["ok", "quorum_unavailable"].includes(code), code);
            await nextTurn();
          }
          while (MASTERS.some((id) => waits(id) < 3)) await nextTurn();
          // Now others stand in for it.
          for (let i = 0; i < 20; i++) {
            assertEquals(await put(`later${i}`), "ok");
          }
          const serving = Object.entries(
            await cluster.node(0).control.services(),
          )
            .filter(([, services]) => services.includes("kv"));
          assertEquals(serving.map(([name]) => name).sort(), [
            cluster.node(0).name,
            cluster.node(2).name,
          ]);

          const freed = full.events.mark;
          await free();
          for (const id of MASTERS) {
            await full.events.until(
              `the start of ${id}`,
              freed,
              (event) => event.type === "master_started" && event.master === id,
            );
          }
          await cluster.settled();
          for (const key of stored) {
            assertEquals((await kv.get("b", key, { r: "all" })).value, LARGE);
          }
          const { context } = await kv.get("b", "before", { pr: "all" });
          await kv.put("b", "before", "after", {
            ...(context === null ? {} : { context }),
            w: "all",
            pw: "all",
            dw: 1,
          });
          // It is the same node, and none of its parts has fallen.
          assertEquals(full.inside, node);
          assertEquals(restartsOf(node), restarts);
        })),
  });
}

Deno.test({
  name:
    "a node alone with a full disk reports that at once, and survives even if the part that starts its masters crashes too",
  ignore: !canMount,
  fn: () =>
    withSmallDisk("8m", (folder) =>
      withCluster({
        kind: "in_process",
        nodes: 1,
        each: () => ({
          storage: "deno_kv",
          dataDirectory: `${folder}/dev1`,
          masterPlacement: "task",
        }),
      }, async (cluster) => {
        const only = cluster.node(0);
        const { kv } = only;
        await kv.put("b", "before", "kept");
        const free = await fill(folder);
        const mark = only.events.mark;
        const waiting = told(only, mark, "master_waiting");
        const ask = async (): Promise<string> => {
          const { code, tookMs } = await timed(kv.put("b", "k", LARGE));
          assert(tookMs < PROMPT_MS, `${code} after ${tookMs} ms`);
          await nextTurn();
          return code;
        };
        let refusal = await ask();
        while (refusal === "ok") refusal = await ask();
        assertEquals(refusal, "quorum_unavailable");
        await waiting;
        // Its only vnodes are out of service.
        assertEquals(await ask(), "insufficient_vnodes");
        const node = only.inside as WhorlNode;
        childAt(node, ["vnode_sup"]).kill();
        const failing = only.events.mark;
        // Its restart fails, and is tried again after a second.
        while ((restartsOf(node).vnode_sup as number) < 2) await nextTurn();
        assertEquals(await ask(), "closed");
        await free();
        await told(only, failing, "master_started");
        await cluster.settled();
        assertEquals((await kv.get("b", "before")).value, "kept");
        await kv.put("b", "k", "fits");
        assertEquals(
          only.events.since(mark, ({ type }) => type === "failed"),
          [],
        );
        assertEquals(only.inside, node);
      })),
});
