import { assertEquals } from "@std/assert";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import { FakeCluster } from "../ra_kv/testing/fake_cluster.ts";
import { ROOT_GROUP } from "./ensemble_names.ts";
import { isGoneTable } from "./group_table.ts";
import { RootTables } from "./root_tables.ts";

/** The ring of a node, as seen by its tables. */
interface Ring {
  present: number;
}

/**
 * Runs `test` with a root ensemble, whose tables any number of nodes may know.
 */
function withRoot(
  name: string,
  test: (raKv: RaKvClient, tablesOf: (ring: Ring) => RootTables) => Promise<
    void
  >,
): void {
  Deno.test(name, async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    await cluster.form(ROOT_GROUP, ["a", "b", "c"]);
    let drawn = 0;
    try {
      const { raKv } = cluster.nodes[0]!;
      await test(raKv, (ring) =>
        new RootTables({
          raKv,
          newNumber: () => ++drawn,
          present: () => ring.present,
          formed: () => {},
        }));
    } finally {
      cluster.close();
    }
  });
}

/** The values of the keys of tables: `table`, `gone`, or nothing. */
async function standing(raKv: RaKvClient): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (
    const key of ["groups", "groups/1", "groups/2", "groups/3", "formed/1"]
  ) {
    const { value } = await raKv.get(ROOT_GROUP, key);
    if (value === undefined) continue;
    found[key] = value === true
      ? "true"
      : isGoneTable(value)
      ? "gone"
      : "table";
  }
  return found;
}

const OWNERS = Array.from({ length: 8 }, (_, i) => "abc"[i % 3] as string);
const MORE_OWNERS = [...OWNERS, ...OWNERS];

/** Begins a ring of another size and, unless aborted, completes it. */
async function resized(
  tables: RootTables,
  ring: Ring,
  generation: number,
  isGivenUp = false,
): Promise<void> {
  await tables.write(generation, MORE_OWNERS);
  await tables.markFormed(generation);
  if (!isGivenUp) ring.present = generation;
}

withRoot(
  "RootTables has the tables of former rings go, and of those that were given up",
  async (raKv, tablesOf) => {
    const ring = { present: 0 };
    const tables = tablesOf(ring);
    assertEquals(tables.mayHaveFormer(0), false);
    await tables.write(0, OWNERS);
    await tables.markFormed(0);
    await resized(tables, ring, 1);
    await resized(tables, ring, 2, true);
    await resized(tables, ring, 3);
    assertEquals(tables.mayHaveFormer(3), true);
    await tables.dropFormer(3, 3);
    assertEquals(tables.mayHaveFormer(3), false);
    assertEquals(await standing(raKv), {
      "groups": "gone",
      "groups/1": "gone",
      "groups/2": "gone",
      "groups/3": "table",
      "formed/1": "true",
    });
    // Another leader finds nothing to do, and every node finds the current
    // table.
    const other = tablesOf(ring);
    await other.read(3);
    await other.dropFormer(3, 3);
    assertEquals(other.of(3), tables.of(3));
    assertEquals(other.isFormed(3), true);
  },
);

withRoot(
  "RootTables keeps the first table while the ring is the one it is of",
  async (raKv, tablesOf) => {
    const ring = { present: 0 };
    const tables = tablesOf(ring);
    await tables.write(0, OWNERS);
    await tables.markFormed(0);
    await resized(tables, ring, 1, true);
    await tables.dropFormer(0, 1);
    assertEquals(await standing(raKv), {
      "groups": "table",
      "groups/1": "gone",
      "formed/1": "true",
    });
  },
);

withRoot(
  "RootTables drops the first table after a resize that was resumed, although a later one was given up before",
  async (raKv, tablesOf) => {
    const ring = { present: 0 };
    const tables = tablesOf(ring);
    await tables.write(0, OWNERS);
    await tables.markFormed(0);
    await resized(tables, ring, 2, true);
    await tables.dropFormer(0, 2);
    assertEquals(tables.mayHaveFormer(2), false);
    await resized(tables, ring, 1);
    assertEquals(tables.mayHaveFormer(2), true);
    await tables.dropFormer(1, 2);
    assertEquals(tables.mayHaveFormer(2), false);
    assertEquals(await standing(raKv), {
      "groups": "gone",
      "groups/1": "table",
      "groups/2": "gone",
      "formed/1": "true",
    });
  },
);

withRoot(
  "RootTables drops nothing before the present table is known to be formed",
  async (raKv, tablesOf) => {
    const ring = { present: 0 };
    const tables = tablesOf(ring);
    await tables.write(0, OWNERS);
    await tables.markFormed(0);
    await tables.write(1, MORE_OWNERS);
    ring.present = 1;
    await tables.dropFormer(1, 1);
    assertEquals(tables.mayHaveFormer(1), true);
    assertEquals(await standing(raKv), {
      "groups": "table",
      "groups/1": "table",
    });
  },
);

withRoot(
  "RootTables lets nobody begin a former ring's groups anew",
  async (raKv, tablesOf) => {
    const ring = { present: 0 };
    const tables = tablesOf(ring);
    await tables.write(0, OWNERS);
    await tables.markFormed(0);
    await resized(tables, ring, 1);
    await resized(tables, ring, 2);
    await tables.dropFormer(2, 2);
    const before = await standing(raKv);
    // They were marked as down, and are back with the ring as they knew it.
    for (const present of [0, 1]) {
      const away = tablesOf({ present });
      assertEquals(await away.read(present), false);
      assertEquals(await away.write(present, OWNERS), false);
      assertEquals([away.of(present), away.isFormed(present)], [
        undefined,
        false,
      ]);
    }
    assertEquals(await standing(raKv), before);
  },
);
