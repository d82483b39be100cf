import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { decodeRing, encodeRing } from "../ring/ring_codec.ts";
import type { MemberStatus, Ring } from "../ring/ring.ts";
import {
  freshRing,
  invite,
  putFacts,
  putRingMeta,
  setStatus,
  withdrawCapabilities,
} from "../ring/ring_change.ts";
import {
  CAPABILITIES_MAX,
  type Capability,
  capabilityStatuses,
  claimOf,
  createCapabilities,
  decodeClaim,
  decodeOverride,
  encodeClaim,
  encodeOverride,
  HANDOFF,
  membersWithout,
  negotiate,
  overrideMetaName,
  resolveCapabilities,
  stepCapabilities,
  WHORL_CLAIM,
} from "./capability.ts";

const CRAZY: Capability = {
  name: "test.crazy",
  supported: ["3", "2", "1", "0"],
  default: "1",
  legacy: "0",
};

function facts(name: string, capabilities?: string) {
  return {
    name,
    address: `${name}:1`,
    nodeId: `id-${name}`,
    ...(capabilities === undefined ? {} : { capabilities }),
  };
}

/** A ring whose members say `claims`; the first is its claimant. */
function ringOf(claims: Record<string, string | undefined>): Ring {
  const [[first, claim], ...others] = Object.entries(claims) as [
    [string, string | undefined],
    ...[string, string | undefined][],
  ];
  let ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: facts(first, claim),
    wallMs: 0,
  });
  for (const [name, claim] of others) ring = withMember(ring, name, claim);
  return ring;
}

function withMember(
  ring: Ring,
  name: string,
  claim?: string,
  status: MemberStatus = "valid",
): Ring {
  return putFacts(
    setStatus(ring, name, name, status),
    facts(name, claim),
    0,
  );
}

const crazy = (...modes: string[]) => `test.crazy=${modes.join(",")}`;

Deno.test("resolveCapabilities() lists Whorl's capabilities before the application's and fills in default modes", () => {
  const all = resolveCapabilities([{
    name: "shop.cart",
    supported: ["v2", "v1"],
  }]);
  assertEquals(all.map(({ name }) => name), [
    "handoff",
    "membership",
    "resize",
    "consistent_buckets",
    "shop.cart",
  ]);
  assertEquals([all[4]?.default, all[4]?.legacy], ["v1", "v1"]);
});

Deno.test("resolveCapabilities() refuses invalid names and modes, duplicates and too many capabilities", () => {
  const many = Array.from({ length: CAPABILITIES_MAX }, (_, i) => ({
    name: `a.b${i}`,
    supported: ["x"],
  }));
  for (
    const registered of [
      [{ name: "handoff", supported: ["v1"] }],
      [{ name: "cart", supported: ["v1"] }],
      [{ name: "Shop.cart", supported: ["v1"] }],
      [{ name: "shop.cart", supported: [] }],
      [{ name: "shop.cart", supported: ["a", "a"] }],
      [{ name: "shop.cart", supported: ["a b"] }],
      [{ name: "shop.cart", supported: ["a"], default: "b" }],
      [{ name: "shop.cart", supported: ["a"], legacy: "b" }],
      [{ name: "a.b", supported: ["x"] }, { name: "a.b", supported: ["x"] }],
      many,
    ]
  ) {
    const error = assertThrows(
      () => resolveCapabilities(registered),
      WhorlError,
    );
    assertEquals(error.code, "invalid_config", error.message);
  }
});

Deno.test("decodeClaim() undoes encodeClaim(), and skips entries that it cannot read", () => {
  const claim = encodeClaim(resolveCapabilities([CRAZY]));
  assertEquals(
    claim,
    `consistent_buckets=v2,v1,none handoff=v1,none membership=v2,v1,none resize=v3,v2,v1,none ${
      crazy("3", "2", "1", "0")
    }`,
  );
  assertEquals(decodeClaim(claim)?.get("test.crazy"), ["3", "2", "1", "0"]);
  const newer = decodeClaim(
    "handoff=v2,v1 raft={odd} =x UPPER=v1 handoff=v9 a.b=",
  );
  assertEquals([...newer!], [["handoff", ["v2", "v1"]]]);
  for (const value of [null, 7, true]) assertEquals(decodeClaim(value), null);
  assertEquals([...decodeClaim("")!], []);
});

Deno.test("negotiate() takes the most preferred mode common to all", () => {
  const mode = (ring: Ring) => negotiate(ring, CRAZY).mode;
  const all = crazy("3", "2", "1", "0");
  assertEquals(mode(ringOf({ a: all, b: all })), "3");
  assertEquals(mode(ringOf({ a: all, b: crazy("2", "1", "0"), c: all })), "2");
  // One that does not know it, and one older than capabilities.
  assertEquals(mode(ringOf({ a: all, b: WHORL_CLAIM })), "1");
  assertEquals(mode(ringOf({ a: all, b: undefined })), "0");
  // Nothing in common.
  assertEquals(
    negotiate(ringOf({ a: all, b: crazy("9") }), CRAZY),
    { mode: "1", by: "default" },
  );
});

Deno.test("negotiate() counts joining, leaving, exiting and down members, and no removed or invited ones", () => {
  const all = crazy("3", "2", "1", "0");
  const ring = ringOf({ a: all, b: all });
  for (
    const status of ["joining", "valid", "leaving", "exiting", "down"] as const
  ) {
    const more = withMember(ring, "c", crazy("2"), status);
    assertEquals(negotiate(more, CRAZY).mode, "2", status);
  }
  assertEquals(
    negotiate(withMember(ring, "c", crazy("2"), "invalid"), CRAZY).mode,
    "3",
  );
  assertEquals(negotiate(invite(ring, "a", facts("c"), 0), CRAZY).mode, "3");
});

Deno.test("negotiate() follows an operator's override if this node supports the mode", () => {
  const ring = ringOf({
    a: crazy("3", "2", "1", "0"),
    b: crazy("2", "1", "0"),
  });
  const negotiated = (override: { use?: string; prefer?: string }) =>
    negotiate(ring, CRAZY, override);
  assertEquals(negotiated({ prefer: "1" }), { mode: "1", by: "preferred" });
  assertEquals(negotiated({ prefer: "3" }), { mode: "2", by: "negotiated" });
  assertEquals(negotiated({ use: "3" }), { mode: "3", by: "used" });
  assertEquals(negotiated({ use: "0", prefer: "1" }), {
    mode: "0",
    by: "used",
  });
  assertEquals(negotiated({ use: "7" }), { mode: "2", by: "negotiated" });
});

Deno.test("negotiate() gives all members the same mode although versions prefer modes in different orders", () => {
  const ring = ringOf({ a: crazy("1", "2"), b: crazy("2", "1") });
  const modes = [["1", "2"], ["2", "1"]].map((supported) =>
    negotiate(ring, { ...CRAZY, supported, legacy: "1" }).mode
  );
  assertEquals(modes[0], modes[1]);
});

Deno.test("decodeOverride() undoes encodeOverride(), and ignores an override that it cannot read", () => {
  for (
    const override of [{}, { use: "a" }, { prefer: "b" }, {
      use: "a",
      prefer: "b",
    }]
  ) {
    assertEquals(decodeOverride(encodeOverride(override)), override);
  }
  assertEquals(encodeOverride({}), null);
  assertEquals(decodeOverride("use=a b force=c"), { use: "a" });
});

Deno.test("stepCapabilities() reports a changed mode once", () => {
  const all = crazy("3", "2", "1", "0");
  let ring = ringOf({ a: all });
  const state = createCapabilities([CRAZY, HANDOFF], {}, ring);
  assertEquals(stepCapabilities(state, ring), []);
  ring = withMember(ring, "b", crazy("1"), "joining");
  assertEquals(stepCapabilities(state, ring), [
    {
      type: "capability_changed",
      capability: "test.crazy",
      before: "3",
      mode: "1",
    },
  ]);
  assertEquals(stepCapabilities(state, ring), []);
  ring = setStatus(ring, "a", "b", "invalid");
  assertEquals(stepCapabilities(state, ring), [
    {
      type: "capability_changed",
      capability: "test.crazy",
      before: "1",
      mode: "3",
    },
  ]);
  ring = putRingMeta(ring, "a", overrideMetaName(CRAZY.name), "prefer=2", 0);
  assertEquals(stepCapabilities(state, ring).map(({ mode }) => mode), ["2"]);
  // What is said on this node is stronger.
  const own = createCapabilities([CRAZY], { "test.crazy": { use: "0" } }, ring);
  assertEquals(own.modes.get("test.crazy"), { mode: "0", by: "used" });
});

Deno.test("capabilityStatuses() lists the members that lack the preferred mode", () => {
  const ring = ringOf({ a: WHORL_CLAIM, b: undefined, c: WHORL_CLAIM });
  const [handoff] = capabilityStatuses(
    createCapabilities([HANDOFF], {}, ring),
    ring,
  );
  assertEquals(handoff, {
    ...HANDOFF,
    mode: "none",
    by: "negotiated",
    override: {},
    lacking: ["b"],
    members: [
      { node: "a", modes: ["v1", "none"] },
      { node: "b", modes: null },
      { node: "c", modes: ["v1", "none"] },
    ],
  });
  assertEquals(membersWithout(ring, HANDOFF, "none"), []);
});

Deno.test("withdrawCapabilities() removes a node's capabilities which its older version lacks, until the node publishes its own", () => {
  let ring = ringOf({ a: WHORL_CLAIM, b: WHORL_CLAIM });
  assertEquals(negotiate(ring, HANDOFF).mode, "v1");
  ring = withdrawCapabilities(ring, "a", "b", 0);
  assertEquals(claimOf(ring, "b"), null);
  assertEquals(negotiate(ring, HANDOFF).mode, "none");
  assert(withdrawCapabilities(ring, "a", "b", 0) === ring);
  assert(withdrawCapabilities(ring, "a", "stranger", 0) === ring);
  const again = putFacts(ring, facts("b", WHORL_CLAIM), 0);
  assertEquals(negotiate(again, HANDOFF).mode, "v1");
  assert(putFacts(again, facts("b", WHORL_CLAIM), 9) === again);
  // It goes to the disk and to others as it is.
  const { ring: read } = decodeRing(encodeRing(again).bytes);
  assertEquals(claimOf(read, "b"), claimOf(again, "b"));
});
