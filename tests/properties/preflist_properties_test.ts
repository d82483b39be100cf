/**
 * Laws of preference lists, on generated rings with any nodes down. The model
 * follows `riak_core_apl.erl`: it splits the ring's owner list, filters it, and
 * hands out fallbacks by taking them off the front.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  activePreflist,
  fillActivePreflist,
  type NamedRing,
  Preflist,
  preflist,
  type PreflistEntry,
  primaryPreflist,
} from "../../src/ring/preflist.ts";

interface Case {
  ring: NamedRing;
  first: number;
  n: number;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    sizeBits: fc.integer({ min: 3, max: 6 }),
    nodeCount: fc.integer({ min: 1, max: 7 }),
  })
  .chain(({ sizeBits, nodeCount }) =>
    fc.record({
      owners: fc.array(fc.nat({ max: nodeCount - 1 }), {
        minLength: 1 << sizeBits,
        maxLength: 1 << sizeBits,
      }),
      up: fc.array(fc.boolean(), {
        minLength: nodeCount,
        maxLength: nodeCount,
      }),
      first: fc.nat({ max: (1 << sizeBits) - 1 }),
      n: fc.integer({ min: 1, max: 8 }),
    })
  )
  .map(({ owners, up, first, n }) => ({
    ring: {
      nodes: up.map((_, i) => `node${i}`),
      owners: Uint16Array.from(owners),
      up: Uint8Array.from(up, Number),
    },
    first,
    n,
  }));

function model({ ring, first, n }: Case): PreflistEntry[] {
  const size = ring.owners.length;
  const walk = Array.from({ length: size }, (_, i) => {
    const partition = (first + i) % size;
    return { partition, node: ring.owners[partition]! };
  });
  const isUp = ({ node }: { node: number }): boolean => ring.up[node] === 1;
  const primaries = walk.slice(0, n);
  const spare = walk.slice(n).filter(isUp);
  const missing = primaries.filter((entry) => !isUp(entry));
  return [
    ...primaries.filter(isUp).map(({ partition, node }) => ({
      partition,
      node: ring.nodes[node]!,
      kind: "primary" as const,
    })),
    ...missing.slice(0, spare.length).map(({ partition }, i) => ({
      partition,
      node: ring.nodes[spare[i]!.node]!,
      kind: "fallback" as const,
    })),
  ];
}

Deno.test("activePreflist() is the model's list", () => {
  fc.assert(fc.property(cases, (generated) => {
    const { ring, first, n } = generated;
    assertEquals(activePreflist(ring, first, n), model(generated));
  }));
});

Deno.test("activePreflist() has up nodes only, each partition once, all of them from preflist()", () => {
  fc.assert(fc.property(cases, ({ ring, first, n }) => {
    const active = activePreflist(ring, first, n);
    const partitions = active.map(({ partition }) => partition);
    const full = preflist(ring, first, n);
    assertEquals(
      full.map(({ partition }) => partition),
      Array.from({ length: n }, (_, i) => (first + i) % ring.owners.length),
    );
    assertEquals(new Set(partitions).size, partitions.length);
    for (const { partition, node, kind } of active) {
      assert(ring.up[ring.nodes.indexOf(node)] === 1);
      const owner = full.find((entry) => entry.partition === partition)!.node;
      assertEquals(
        kind === "primary",
        owner === node && ring.up[ring.nodes.indexOf(owner)] === 1,
      );
    }
    assertEquals(
      active.filter(({ kind }) => kind === "primary"),
      primaryPreflist(ring, first, n),
    );
  }));
});

Deno.test("activePreflist() is preflist() when every node is up, and empty when none is", () => {
  fc.assert(fc.property(cases, ({ ring, first, n }) => {
    const allUp = { ...ring, up: ring.up.map(() => 1) };
    assertEquals(activePreflist(allUp, first, n), preflist(ring, first, n));
    const noneUp = { ...ring, up: ring.up.map(() => 0) };
    assertEquals(activePreflist(noneUp, first, n), []);
  }));
});

Deno.test("fillActivePreflist() does not depend on what its list held before", () => {
  const used = new Preflist(8);
  fc.assert(fc.property(cases, ({ ring, first, n }) => {
    const fresh = new Preflist(8);
    fillActivePreflist(used, ring, first, n);
    fillActivePreflist(fresh, ring, first, n);
    assertEquals(used.length, fresh.length);
    for (const column of ["partitions", "nodes", "fallbacks"] as const) {
      assertEquals(
        used[column].slice(0, used.length),
        fresh[column].slice(0, fresh.length),
      );
    }
  }));
});
