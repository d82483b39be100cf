/**
 * What is negotiated depends on the ring alone, is the same on all members, and
 * is no better with one member more.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Capability,
  decodeClaim,
  encodeClaim,
  negotiate,
} from "../../src/cluster/capability.ts";
import type { Ring } from "../../src/ring/ring.ts";
import { freshRing, putFacts, setStatus } from "../../src/ring/ring_change.ts";
import { decodeRing, encodeRing } from "../../src/ring/ring_codec.ts";
import { mergeRings } from "../../src/ring/ring_merge.ts";

/** All modes there ever were, the preferred one first; versions know some of them. */
const MODES = ["f", "e", "d", "c", "b", "a"];

function capability(supported: readonly string[]): Capability {
  return { name: "test.mode", supported, default: "a", legacy: "a" };
}

/** A version's modes in the common order; each can do the oldest. */
const version = fc.subarray(MODES.slice(0, -1))
  .map((modes) => [...modes, "a"]);
/** A member: modes, or `null` for one older than capabilities, and what it is. */
const member = fc.record({
  modes: fc.option(version, { freq: 8 }),
  status: fc.constantFrom(
    "joining" as const,
    "valid" as const,
    "leaving" as const,
    "exiting" as const,
    "down" as const,
    "invalid" as const,
  ),
});
type MemberShape = typeof member extends fc.Arbitrary<infer T> ? T : never;

function withMember(ring: Ring, place: number, shape: MemberShape): Ring {
  const name = `n${place}`;
  const { modes, status } = shape;
  return putFacts(setStatus(ring, name, name, status), {
    name,
    address: `${name}:1`,
    nodeId: name,
    ...(modes === null
      ? {}
      : { capabilities: encodeClaim([capability(modes)]) }),
  }, 0);
}

function ringOf(first: readonly string[], members: MemberShape[]): Ring {
  let ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: {
      name: "n0",
      address: "n0:1",
      nodeId: "n0",
      capabilities: encodeClaim([capability(first)]),
    },
    wallMs: 0,
  });
  members.forEach((shape, i) => ring = withMember(ring, i + 1, shape));
  return ring;
}

Deno.test("negotiate() gives all members the same mode for the same ring, and one that all support", () => {
  fc.assert(
    fc.property(
      version,
      fc.array(member, { maxLength: 6 }),
      (first, members) => {
        const ring = ringOf(first, members);
        const { mode } = negotiate(ring, capability(first));
        const current = members.filter(({ status }) => status !== "invalid");
        for (const { modes } of current) {
          if (modes === null) continue;
          assertEquals(negotiate(ring, capability(modes)).mode, mode);
          assert(modes.includes(mode));
        }
        const { ring: read } = decodeRing(encodeRing(ring).bytes);
        assertEquals(negotiate(read, capability(first)).mode, mode);
      },
    ),
  );
});

Deno.test("negotiate() is no better with one more member, and no worse with one fewer", () => {
  const rank = (ring: Ring, own: readonly string[]) =>
    MODES.indexOf(negotiate(ring, capability(own)).mode);
  fc.assert(
    fc.property(
      version,
      fc.array(member, { maxLength: 5 }),
      member,
      (first, members, more) => {
        const ring = ringOf(first, members);
        const grown = withMember(ring, members.length + 1, more);
        assert(rank(grown, first) >= rank(ring, first));
        const shrunk = setStatus(
          grown,
          "n0",
          `n${members.length + 1}`,
          "invalid",
        );
        assertEquals(rank(shrunk, first), rank(ring, first));
      },
    ),
  );
});

Deno.test("negotiate() does not depend on the order in which rings met", () => {
  fc.assert(fc.property(version, member, member, (first, a, b) => {
    const ring = ringOf(first, []);
    const left = withMember(ring, 1, a);
    const right = withMember(ring, 2, b);
    assertEquals(
      negotiate(mergeRings(left, right), capability(first)),
      negotiate(mergeRings(right, left), capability(first)),
    );
  }));
});

Deno.test("decodeClaim() accepts any text, and returns names and modes within bounds", () => {
  fc.assert(fc.property(
    fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom("a", "b.c", "=", ",", " ", "X")).map((parts) =>
        parts.join("")
      ),
    ),
    (text) => {
      for (const [name, modes] of decodeClaim(text) ?? []) {
        assert(/^[a-z0-9_.]+$/.test(name), name);
        assert(modes.length >= 1 && modes.every((mode) => mode.length > 0));
      }
    },
  ));
});
