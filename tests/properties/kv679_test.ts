/**
 * No acknowledged write is lost when vnodes lose what they know: the kv679 tests
 * of riak_test (dataloss, _fb, _tombstone, _uid) as one property. Vnodes of one
 * key write, exchange objects, crash before they have committed, lose their disk,
 * have their object damaged or their partition deleted. A write may be gone in
 * the end only if another one was made by somebody who had seen it.
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { mergeObjects } from "../../src/kv/kv_object.ts";
import { readSiblings, SiblingFlag } from "../../src/kv/kv_object_codec.ts";
import { CachedDisk } from "../../src/kv/testing/cached_disk.ts";
import {
  ask,
  get,
  merge,
  put,
  type Started,
  startOn,
  storageKey,
} from "../../src/kv/testing/kv_vnode_alone.ts";

const VNODES = 3;
const vnode = fc.nat({ max: VNODES - 1 });

type Step =
  /** Somebody writes who has read the object at vnode `seen`, or nothing. */
  | { do: "write"; at: number; seen: number | undefined; remove: boolean }
  /** An object that was sent some time, and may have been long on its way. */
  | { do: "deliver"; to: number; which: number }
  | { do: "commit" | "crash" | "lose" | "damage" | "delete"; at: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      at: vnode,
      seen: fc.option(vnode, { nil: undefined }),
      remove: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("deliver" as const),
      to: vnode,
      which: fc.nat(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "commit",
        "crash",
        "lose",
        "damage",
        "damage",
        "delete",
      ),
      at: vnode,
    }),
  },
);

/** Each value names its write. */
function writesIn(object: Uint8Array): number[] {
  return readSiblings(object).map(({ lastModified, flags, value }) =>
    // A tombstone has no value to tell it by, so the double's clock does.
    flags & SiblingFlag.tombstone
      ? lastModified
      : Number(new TextDecoder().decode(value))
  );
}

Deno.test("kv loses no write that was not overwritten, whatever its vnodes lose", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      async (steps) => {
        const clock = { wall: 0 };
        const disks = Array.from({ length: VNODES }, () => new CachedDisk());
        const vnodes: Started[] = [];
        for (const disk of disks) vnodes.push(await startOn(disk, clock));
        /** Everything that has left a vnode, and so may be anywhere. */
        const sent: Uint8Array[] = [];
        const overwritten = new Set<number>();
        const written: number[] = [];
        for (const step of steps) {
          switch (step.do) {
            case "write": {
              const seen = step.seen === undefined
                ? undefined
                : ask(vnodes[step.seen]!, "get", get()).reply;
              const write = ++clock.wall;
              const object = ask(vnodes[step.at]!, "put", {
                ...put(step.remove ? "" : `${write}`, seen),
                flags: step.remove ? SiblingFlag.tombstone : 0,
              }).accepted;
              // Its own object is damaged: another vnode would be asked.
              if (object === undefined) break;
              sent.push(object);
              written.push(write);
              if (seen !== undefined) {
                for (const other of writesIn(seen)) overwritten.add(other);
              }
              break;
            }
            case "deliver":
              if (sent.length > 0) {
                const object = sent[step.which % sent.length]!;
                ask(vnodes[step.to]!, "merge", merge(object));
              }
              break;
            case "commit":
              disks[step.at]!.commit();
              break;
            case "crash":
              disks[step.at]!.crash();
              vnodes[step.at] = await startOn(disks[step.at]!, clock);
              break;
            case "lose":
              disks[step.at] = new CachedDisk();
              vnodes[step.at] = await startOn(disks[step.at]!, clock);
              break;
            case "damage":
              disks[step.at]!.corrupt.add(storageKey("k").toHex());
              break;
            case "delete":
              await vnodes[step.at]!.vnode.delete();
              break;
          }
        }
        if (sent.length === 0) return;
        const all = sent.reduce((merged, object) =>
          mergeObjects(merged, object)
        );
        assertEquals(
          writesIn(all).sort((a, b) => a - b),
          written.filter((write) => !overwritten.has(write)),
        );
      },
    ),
    { numRuns: 5000 },
  );
});
