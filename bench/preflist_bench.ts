/**
 * What a preference list costs for N=3 on a ring of 64, beside its floor:
 * reading three owners and writing them down.
 *
 * @module
 */
import {
  activePreflist,
  fillActivePreflist,
  fillPreflist,
  type NamedRing,
  Preflist,
} from "../src/ring/preflist.ts";

const RING_SIZE = 64;
const NODES = ["a", "b", "c", "d"];
const owners = Uint16Array.from({ length: RING_SIZE }, (_, i) => i % 4);
const allUp: NamedRing = {
  nodes: NODES,
  owners,
  up: Uint8Array.of(1, 1, 1, 1),
};
const oneDown: NamedRing = { ...allUp, up: Uint8Array.of(1, 0, 1, 1) };
const oneUp: NamedRing = { ...allUp, up: Uint8Array.of(0, 0, 0, 1) };

const into = new Preflist(3);
let turn = 0;

const group = "preference list, N=3";

Deno.bench("floor: fillPreflist()", { group, baseline: true }, () => {
  fillPreflist(into, allUp, turn++ & 63, 3);
});

Deno.bench("fillActivePreflist(), all up", { group }, () => {
  fillActivePreflist(into, allUp, turn++ & 63, 3);
});

Deno.bench("fillActivePreflist(), one of four down", { group }, () => {
  fillActivePreflist(into, oneDown, turn++ & 63, 3);
});

Deno.bench("fillActivePreflist(), one of four up", { group }, () => {
  fillActivePreflist(into, oneUp, turn++ & 63, 3);
});

// Kept, or the compiler sees that nobody reads the entries and makes none.
const kept: { entries: unknown } = { entries: undefined };

Deno.bench("activePreflist(), by name, allocates", { group }, () => {
  kept.entries = activePreflist(oneDown, turn++ & 63, 3);
});
