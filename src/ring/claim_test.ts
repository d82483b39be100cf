import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { isWhorlError } from "../base/errors.ts";
import {
  claim,
  type ClaimQuality,
  claimQuality,
  compareClaimQuality,
} from "./claim.ts";
import { windowsWithRepeat } from "./claim_quality.ts";

interface ClaimCase {
  kind: "join" | "leave";
  ringSize: number;
  nodes: number;
  leaving?: number;
  before: number[];
  riakCore: ClaimQuality & { algorithm: string };
}

const { cases } = JSON.parse(
  Deno.readTextFileSync(
    new URL("../../tests/golden/claim_cases.json", import.meta.url),
  ),
) as { cases: ClaimCase[] };

const NAMES = Array.from(
  { length: 120 },
  (_, i) => `n${String(i).padStart(3, "0")}@host`,
);

function namesUpTo(count: number): string[] {
  return NAMES.slice(0, count);
}

Deno.test("claim() is never worse than riak_core's claims from the same rings", () => {
  assertEquals(cases.length, 88);
  for (
    const [i, { nodes, leaving, before, riakCore, ...c }] of cases.entries()
  ) {
    const owners = before.map((node) => NAMES[node]!);
    const claimants = namesUpTo(nodes).filter((_, node) => node !== leaving);
    const quality = claimQuality(
      owners,
      claim({ owners, claimants }),
      claimants,
    );
    assert(quality.spread <= 1);
    assert(
      compareClaimQuality(quality, riakCore) <= 0,
      `Case ${i}, ${c.kind} on ${c.ringSize}: ${
        JSON.stringify(quality)
      } against ${JSON.stringify(riakCore)}`,
    );
  }
});

Deno.test("claim() leaves 2 of 64 windows with a repeat when a third node joins", () => {
  const joins = cases.filter((c) =>
    c.kind === "join" && c.ringSize === 64 && c.nodes === 3
  );
  assertEquals(joins.length, 4);
  for (const { before } of joins) {
    const owners = before.map((node) => NAMES[node]!);
    const after = claim({ owners, claimants: namesUpTo(3) });
    assertEquals(windowsWithRepeat(after, 3), 2);
  }
});

Deno.test("claim() finds rings as good as trying every ring of 8", () => {
  const chance = seededChance("rings of 8");
  for (const nodes of [2, 3, 4, 5]) {
    const claimants = namesUpTo(nodes);
    const rings = balancedRings(8, nodes).map((ring) => ({
      ring,
      windowsOf3: windowsWithRepeat(ring, 3),
      windowsOf4: windowsWithRepeat(ring, 4),
    }));
    // Whatever the start, windows come first: only the best rings remain.
    const windowsOf3 = Math.min(...new Set(rings.map((r) => r.windowsOf3)));
    assertEquals(windowsOf3, [8, 2, 0, 0][nodes - 2]);
    const best3 = rings.filter((r) => r.windowsOf3 === windowsOf3);
    const windowsOf4 = Math.min(...new Set(best3.map((r) => r.windowsOf4)));
    assertEquals(windowsOf4, [8, 8, 0, 0][nodes - 2]);
    const best = best3.filter((r) => r.windowsOf4 === windowsOf4);
    for (let round = 0; round < 12; round++) {
      // One name too many: a node that has to leave.
      const before = Array.from({ length: 8 }, () => chance.below(nodes + 1));
      const transfers = Math.min(
        ...new Set(
          best.map(({ ring }) =>
            ring.reduce((sum, node, i) => sum + (node === before[i] ? 0 : 1), 0)
          ),
        ),
      );
      const owners = before.map((node) => NAMES[node]!);
      assertEquals(
        claimQuality(owners, claim({ owners, claimants }), claimants),
        {
          spread: 8 % nodes === 0 ? 0 : 1,
          windowsOf3WithRepeat: windowsOf3,
          windowsOf4WithRepeat: windowsOf4,
          transfers,
        },
      );
    }
  }
});

Deno.test("claim() makes no repeat and moves only the joining node's share as a cluster grows from 5", () => {
  let owners = claim({
    owners: Array(64).fill(NAMES[0]),
    claimants: namesUpTo(4),
  });
  for (let nodes = 5; nodes <= 16; nodes++) {
    const claimants = namesUpTo(nodes);
    const after = claim({ owners, claimants });
    const quality = claimQuality(owners, after, claimants);
    assertEquals(quality.windowsOf4WithRepeat, 0);
    assertEquals(quality.transfers, Math.floor(64 / nodes), `${nodes} nodes`);
    owners = after;
  }
});

Deno.test("claim() places nodes that join together so that little moves when some leave again", () => {
  // Moves caused by a leave beyond the share of the leaving nodes: the most,
  // and the sum.
  const spare: [count: number, leavers: number, most: number, sum: number][] = [
    [5, 1, 9, 36],
    [6, 1, 8, 26],
    [6, 2, 15, 146],
    [7, 1, 6, 16],
    [8, 1, 0, 0],
    [8, 2, 0, 0],
    [8, 3, 5, 60],
    // Four can only go round, so the remaining node of each pair has to move
    // everything.
    [8, 4, 16, 480],
    [10, 1, 0, 0],
    [10, 2, 0, 0],
  ];
  for (const [count, leavers, most, sum] of spare) {
    const claimants = namesUpTo(count);
    const before = Array<string>(64).fill(NAMES[0]!);
    const owners = claim({ owners: before, claimants });
    const quality = claimQuality(before, owners, claimants);
    assertEquals(quality.windowsOf4WithRepeat, 0);
    assertEquals(quality.transfers, 64 - Math.ceil(64 / count));
    const spareMoves = subsets(claimants, leavers).map((leaving) => {
      const remaining = claimants.filter((node) => !leaving.includes(node));
      const after = claim({ owners, claimants: remaining });
      const share = owners.filter((node) => leaving.includes(node)).length;
      const { transfers, spread, windowsOf4WithRepeat } = claimQuality(
        owners,
        after,
        remaining,
      );
      assert(spread <= 1);
      assertEquals(windowsOf4WithRepeat, 0);
      return transfers - share;
    });
    const what = `${leavers} of ${count} leave`;
    assert(Math.max(...spareMoves) <= most, `${what}: ${spareMoves}`);
    const all = spareMoves.reduce((a, b) => a + b);
    assert(all <= sum, `${what}: ${all} in all`);
  }
});

Deno.test("claim() lets eight nodes share places as soon as four of them are new, and nothing else moves", () => {
  for (const members of [1, 2, 4]) {
    const owners = claim({
      owners: Array(64).fill(NAMES[0]),
      claimants: namesUpTo(members),
    });
    const after = claim({ owners, claimants: namesUpTo(8) });
    const quality = claimQuality(owners, after, namesUpTo(8));
    assertEquals(quality.windowsOf4WithRepeat, 0);
    assertEquals(quality.transfers, 64 - 8 * members);
    for (const place of [0, 1, 2, 3]) {
      const there = after.filter((_, partition) => partition % 4 === place);
      assertEquals(new Set(there).size, 2);
    }
  }
});

Deno.test("claim() gives a replacement exactly what the replaced node had", () => {
  for (const nodes of [4, 6, 9]) {
    const owners = claim({
      owners: Array(64).fill(NAMES[0]),
      claimants: namesUpTo(nodes),
    });
    const after = claim({
      owners,
      claimants: [...namesUpTo(nodes).slice(1), "new@host"],
    });
    assertEquals(
      after,
      owners.map((node) => node === NAMES[0] ? "new@host" : node),
    );
  }
});

Deno.test("claim() lets two nodes alternate", () => {
  const owners = Array<string>(64).fill("a");
  const after = claim({ owners, claimants: ["a", "b"] });
  assertEquals(windowsWithRepeat(after, 2), 0);
});

Deno.test("claim() lets two nodes alternate if replicas do not count", () => {
  const owners = Array<string>(64).fill("a");
  const after = claim({ owners, claimants: ["a", "b"], targetN: 1 });
  assertEquals(windowsWithRepeat(after, 2), 0);
});

Deno.test("claim() gives some nodes nothing when there are more nodes than partitions", () => {
  const owners = namesUpTo(8);
  assertEquals(claim({ owners, claimants: NAMES }), owners);
  const after = claim({ owners: Array(8).fill("gone"), claimants: NAMES });
  assertEquals(new Set(after).size, 8);
});

Deno.test("claim() honours another targetN", () => {
  const owners = Array<string>(64).fill(NAMES[0]!);
  for (const [targetN, nodes] of [[1, 3], [2, 3], [3, 5], [6, 8], [8, 8]]) {
    const claimants = namesUpTo(nodes!);
    const after = claim({ owners, claimants, targetN: targetN! });
    assertEquals(windowsWithRepeat(after, targetN!), 0);
    assert(claimQuality(owners, after, claimants).spread <= 1);
  }
});

Deno.test("claim() repeats at one seam only when as many nodes as targetN do not divide the ring", () => {
  const chance = seededChance("seam");
  const claimants = namesUpTo(5);
  const owners = Array.from({ length: 64 }, () => chance.pick(claimants));
  const after = claim({ owners, claimants, targetN: 5 });
  const repeats = [3, 4, 5].map((size) => windowsWithRepeat(after, size));
  assertEquals(repeats, [0, 0, 4]);
});

Deno.test("claim() lays out the largest ring without a repeat from a ring at random", () => {
  const chance = seededChance("large");
  const owners = Array.from({ length: 1024 }, () => chance.pick(NAMES));
  for (const nodes of [5, 50]) {
    const claimants = namesUpTo(nodes);
    const quality = claimQuality(
      owners,
      claim({ owners, claimants }),
      claimants,
    );
    assertEquals(quality.spread, 1);
    assertEquals(quality.windowsOf4WithRepeat, 0);
  }
});

Deno.test("claim() refuses invalid input", () => {
  const calls: Parameters<typeof claim>[0][] = [
    { owners: [], claimants: ["a"] },
    { owners: ["a"], claimants: [] },
    { owners: ["a"], claimants: ["a", "b", "a"] },
    { owners: ["a"], claimants: ["a"], targetN: 0 },
    { owners: ["a"], claimants: ["a"], targetN: 2.5 },
  ];
  for (const input of calls) {
    const error = assertThrows(() => claim(input));
    assert(isWhorlError(error, "invalid_argument"));
  }
});

/** Every choice of that many of `names`. */
function subsets(names: readonly string[], count: number): string[][] {
  if (count === 0) return [[]];
  return names.flatMap((name, i) =>
    subsets(names.slice(i + 1), count - 1).map((rest) => [name, ...rest])
  );
}

/** Every ring in which no node owns two partitions more than another. */
function balancedRings(ringSize: number, nodes: number): number[][] {
  const rings: number[][] = [];
  const owned = Array<number>(nodes).fill(0);
  const most = Math.ceil(ringSize / nodes);
  const ring: number[] = [];
  const extend = () => {
    if (ring.length === ringSize) {
      if (most - Math.min(...owned) <= 1) rings.push([...ring]);
      return;
    }
    for (let node = 0; node < nodes; node++) {
      if (owned[node] === most) continue;
      owned[node]!++;
      ring.push(node);
      extend();
      ring.pop();
      owned[node]!--;
    }
  };
  extend();
  return rings;
}
