import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";
import { transferMark } from "./decision_mark.ts";
import type { Ring } from "./ring.ts";
import {
  abortResize,
  addJoining,
  beginResize,
  completeTransfers,
  enterResizePhase,
  freshRing,
  installResize,
  markSeen,
  putRingMeta,
  resumeResize,
  setOwnership,
  stageSize,
  transfersTowards,
} from "./ring_change.ts";
import { decodeRing, encodeRing } from "./ring_codec.ts";

function sample(): Ring {
  let ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: { name: "a@h", address: "h:1", nodeId: "id-a" },
    wallMs: 5,
  });
  ring = addJoining(ring, { name: "b@h", address: "h:2", nodeId: "id-b" }, 6);
  ring = setOwnership(ring, "a@h", {
    next: transfersTowards(ring, new Array(8).fill("b@h")),
    staged: [{ action: "replace", node: "a@h", replacement: "b@h" }],
    committedPlan: "00ff",
  });
  return putRingMeta(ring, "a@h", "color", "green", 7);
}

/** The ring's bytes with `edit` applied to its decoded content. */
// deno-lint-ignore no-explicit-any -- the content is edited against its type on purpose.
function edited(edit: (content: any[]) => void): Uint8Array {
  const [format, bytes, seen] = decodeMsgpack(
    encodeRing(sample()).bytes,
  ) as [number, Uint8Array, unknown];
  // deno-lint-ignore no-explicit-any -- as above.
  const content = decodeMsgpack(bytes) as any[];
  edit(content);
  return encodeMsgpack([format, encodeMsgpack(content), seen]);
}

function refuses(bytes: Uint8Array, reason: string): void {
  const error = assertThrows(() => decodeRing(bytes), WhorlError, reason);
  assertEquals((error as WhorlError).code, "protocol_error");
}

Deno.test("decodeRing() gives back every part of a ring", () => {
  const ring = sample();
  assertEquals(decodeRing(encodeRing(ring).bytes).ring, ring);
});

Deno.test("encodeRing() gives equal digests only to rings that differ in nothing but what was seen", () => {
  const ring = sample();
  const seen = markSeen(ring, "b@h", ring.clock);
  assertEquals(encodeRing(seen).digest, encodeRing(ring).digest);
  const changed = putRingMeta(ring, "a@h", "color", "red", 8);
  assertEquals(encodeRing(changed).digest === encodeRing(ring).digest, false);
});

Deno.test("decodeRing() gives back the generations of a ring", () => {
  let ring = stageSize(sample(), "a@h", 16);
  const isSame = (): void =>
    assertEquals(decodeRing(encodeRing(ring).bytes).ring, ring);
  isSame();
  ring = beginResize(ring, "a@h", new Array(16).fill("b@h"));
  isSame();
  ring = beginResize(
    abortResize(ring, "a@h"),
    "a@h",
    new Array(16).fill("a@h"),
  );
  isSame();
  for (const phase of ["binding", "copying", "reading"] as const) {
    ring = enterResizePhase(ring, "a@h", phase);
    isSame();
  }
  ring = installResize(ring, "a@h");
  ring = setOwnership(ring, "a@h", {
    next: transfersTowards(ring, new Array(16).fill("b@h")),
  });
  ring = completeTransfers(ring, "a@h", [15], null, []);
  isSame();
  // What was reported about partitions that no longer exist.
  ring = beginResize(ring, "a@h", new Array(8).fill("a@h"));
  ring = installResize(ring, "a@h");
  assertEquals(ring.progress.has(15), true);
  isSame();
});

Deno.test("decodeRing() gives back a resumed resize, which need not be the newest", () => {
  const begun = (ring: Ring, size: number): Ring =>
    beginResize(ring, "a@h", new Array(size).fill("a@h"));
  const second = begun(abortResize(begun(sample(), 16), "a@h"), 32);
  const owners = new Array(16).fill("b@h");
  let ring = resumeResize(abortResize(second, "a@h"), "a@h", 1, owners);
  const { newest, resize } = ring.ownership.generations;
  assertEquals([newest, resize?.generation], [2, 1]);
  for (const phase of ["copying", "binding", "reading"] as const) {
    assertEquals(decodeRing(encodeRing(ring).bytes).ring, ring);
    ring = enterResizePhase(ring, "a@h", phase);
  }
  for (const done of [installResize, abortResize]) {
    const after = done(ring, "a@h");
    assertEquals(decodeRing(encodeRing(after).bytes).ring, after);
  }
});

Deno.test("encodeRing() names the decision of a report beside the modules, where earlier versions keep it", () => {
  let ring = sample();
  ring = setOwnership(ring, "a@h", {
    owners: new Array(8).fill("a@h"),
    next: [],
  });
  ring = setOwnership(ring, "a@h", {
    next: transfersTowards(ring, new Array(8).fill("b@h")),
  });
  ring = completeTransfers(ring, "a@h", [3], "kv", ["kv", "sums"]);
  const [, content] = decodeMsgpack(encodeRing(ring).bytes) as [
    number,
    Uint8Array,
  ];
  const progress = (decodeMsgpack(content) as unknown[][])[7] as unknown[][];
  const { term, version } = ring.ownership;
  const mark = transferMark("a@h", "b@h");
  assertEquals(progress.at(-1), [
    3,
    term,
    version,
    [`>${mark}`, "kv"],
    false,
  ]);
  // Nodes of all versions must agree on it.
  assertEquals(mark, "b954a528bbef5a45");
  assertEquals(decodeRing(encodeRing(ring).bytes).ring, ring);
});

Deno.test("encodeRing() omits generations while there is only one", () => {
  const [, content] = decodeMsgpack(encodeRing(sample()).bytes) as [
    number,
    Uint8Array,
  ];
  const ownership = (decodeMsgpack(content) as unknown[][])[6] as unknown[];
  // The form that versions without resizes read.
  assertEquals(ownership.length, 7);
});

Deno.test("encodeRing() omits the first phase of a resize", () => {
  const lengthOf = (ring: Ring): number => {
    const [, content] = decodeMsgpack(encodeRing(ring).bytes) as [
      number,
      Uint8Array,
    ];
    const ownership = (decodeMsgpack(content) as unknown[][])[6] as unknown[];
    return ((ownership[7] as unknown[])[4] as unknown[]).length;
  };
  const begun = beginResize(sample(), "a@h", new Array(16).fill("b@h"));
  // The form that versions without phases read.
  assertEquals(lengthOf(begun), 4);
  assertEquals(lengthOf(enterResizePhase(begun, "a@h", "binding")), 7);
});

Deno.test("decodeRing() refuses inconsistent generations", () => {
  const generations = (value: unknown): Uint8Array =>
    edited((c) => c[6].push(value));
  const owners = new Uint8Array(32);
  refuses(generations(null), "the generations");
  refuses(generations([1, 0, [], null, null]), "a generation");
  refuses(generations([0, 1, [], null, null]), "generations");
  refuses(generations([0, 1, [16, 8], null, null]), "generations");
  refuses(generations([0, 0, [8, 8], null, null]), "generations");
  refuses(generations([0, 0, [], 12, null]), "a ring size of 12");
  refuses(generations([0, 0, [8], null, [0, owners, 1, 1]]), "a generation");
  refuses(generations([0, 1, [8, 8], null, [1, owners, 1, 1]]), "a resize");
  // None of a former generation, of an aborted one, or of one that never began.
  const sizes = [16, 8, 0, 16];
  refuses(generations([1, 3, sizes, null, [1, owners, 1, 1]]), "a resize");
  refuses(generations([1, 3, sizes, null, [2, owners, 1, 1]]), "a resize");
  refuses(generations([1, 3, sizes, null, [4, owners, 1, 1]]), "a resize");
  refuses(
    generations([0, 1, [8, 16], null, [1, owners.subarray(2), 1, 1]]),
    "a ring size of 15",
  );
  refuses(
    generations([0, 1, [8, 16], null, [1, owners, 1, 1, 3, 1, 1]]),
    "a phase",
  );
  refuses(
    generations([0, 1, [8, 16], null, [1, owners, 1, 1, 1]]),
    "a phase",
  );
});

Deno.test("decodeRing() refuses an invalid field, and says which", () => {
  refuses(edited((c) => c.pop()), "the content of a ring");
  refuses(edited((c) => c[0] = 7), "a cluster name");
  refuses(edited((c) => c[1] = ["a@h"]), "a cluster id");
  refuses(edited((c) => c[2] = 7), "a ring size of 7");
  refuses(edited((c) => c[2] = 16), "the owners");
  refuses(edited((c) => c[3].reverse()), "not sorted");
  refuses(edited((c) => c[4][0] = 99), "a number of a name");
  refuses(edited((c) => c[4][1] = -1), "the clock of a ring");
  refuses(edited((c) => c[4].pop()), "half a pair");
  refuses(edited((c) => c[5] = []), "the members");
  refuses(edited((c) => c[5].pop()), "no member: b@h");
  refuses(edited((c) => c[5].shift()), "no member: a@h");
  refuses(edited((c) => c[5][0][2] = []), "the statuses of a member");
  refuses(edited((c) => c[5][0][2][0][2] = "king"), "a status");
  refuses(edited((c) => c[5][0][2][0][1] = 1e9), "the counter of a status");
  refuses(edited((c) => c[6][0] = 0), "a term");
  refuses(edited((c) => c[6][1] = 2 ** 40), "a version");
  refuses(edited((c) => c[6][4].reverse()), "a partition");
  refuses(edited((c) => c[6][4][0][0] = 8), "a partition");
  refuses(edited((c) => c[6][5][0][0] = "dance"), "a staged action");
  refuses(edited((c) => c[8][0][2] = Infinity), "no date");
  refuses(edited((c) => c[8][0][1] = [1]), "a metadata value");
  refuses(encodeMsgpack([2, new Uint8Array(), []]), "format must be 1");
  refuses(encodeMsgpack("ring"), "a ring");
});

Deno.test("decodeRing() answers damaged bytes with a ring or a protocol_error", () => {
  const { bytes } = encodeRing(sample());
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat(255)), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.nat({ max: bytes.length }),
      (flips, cut) => {
        const damaged = bytes.slice();
        for (const [at, value] of flips) damaged[at] = value;
        for (const input of [damaged, damaged.subarray(0, cut)]) {
          try {
            decodeRing(input);
          } catch (error) {
            if (!isWhorlError(error, "protocol_error")) throw error;
          }
        }
      },
    ),
    { numRuns: 2000 },
  );
});
