/**
 * Runs tests on a cluster of nodes a to d whose Raft is faked.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isWhorlError, type WhorlError } from "../../base/errors.ts";
import { FakeCluster } from "./fake_cluster.ts";

/** Runs `test` on nodes a to d. */
export function onNodes(
  name: string,
  test: (cluster: FakeCluster) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const cluster = new FakeCluster(["a", "b", "c", "d"]);
    try {
      await test(cluster);
    } finally {
      cluster.close();
    }
    assertEquals(cluster.runtime.pendingTimers, 0);
  });
}

/** The result of `promise`, while time advances. */
export async function inTime<Result>(
  cluster: FakeCluster,
  promise: Promise<Result>,
  limitMs = 60_000,
): Promise<Result> {
  let settled = false;
  const over = (): void => void (settled = true);
  promise.then(over, over);
  for (let passed = 0; passed < limitMs && !settled; passed += 100) {
    await cluster.runtime.advance(100);
  }
  assert(settled, `There was no answer in ${limitMs} ms`);
  return await promise;
}

/** The error of `promise`. */
export async function failureOf(
  cluster: FakeCluster,
  promise: Promise<unknown>,
): Promise<WhorlError> {
  const outcome = await inTime(cluster, promise).then(
    (value) => new Error(`It succeeded: ${Deno.inspect(value)}`),
    (error) => error,
  );
  if (!isWhorlError(outcome)) throw outcome;
  return outcome;
}

/** The nodes that have a member of a cluster. */
export function membersOn(cluster: FakeCluster, name: string): string[] {
  return cluster.nodes.filter(({ groups }) => groups.has(name))
    .map(({ node }) => node);
}
