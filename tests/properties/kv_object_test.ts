/**
 * Objects as bytes against `dvv_set.ts`, the plain form of the same thing: random
 * histories of writes and merges on a few replicas, after which both must say
 * the same, and the laws that replicas need to agree.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { WhorlError } from "../../src/base/errors.ts";
import {
  dvvContext,
  type DvvSet,
  dvvSet,
  dvvValues,
  syncDvv,
  updateDvv,
} from "../../src/causality/dvv_set.ts";
import {
  checkContext,
  contextFromText,
  contextOf,
  contextToText,
} from "../../src/kv/causal_context.ts";
import {
  kvObjectMerge,
  mergeObjects,
  relateObjects,
  writeToObject,
} from "../../src/kv/kv_object.ts";
import {
  checkObject,
  entryCount,
  readSiblings,
  readU16,
  readU48,
  SiblingFlag,
} from "../../src/kv/kv_object_codec.ts";

const REPLICAS = 3;

type Step =
  /** A write at `replica` by somebody who has read `seen` last, or nothing at all. */
  | { do: "write"; replica: number; seen: number | undefined; remove: boolean }
  /** `from` sends its object to `to`. */
  | { do: "send"; from: number; to: number }
  /** `replica` starts anew with another identity and the same objects. */
  | { do: "restart"; replica: number }
  /** `replica` starts anew with another identity and nothing. */
  | { do: "lose"; replica: number };

const replica = fc.nat({ max: REPLICAS - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      replica,
      seen: fc.option(replica, { nil: undefined }),
      remove: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      from: replica,
      to: replica,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("restart" as const), replica }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("lose" as const), replica }),
  },
);
const history = fc.array(step, { maxLength: 30 });

interface Held {
  bytes: Uint8Array | undefined;
  model: DvvSet<string>;
  actor: Uint8Array;
}

const text = new TextDecoder();

/** Runs a history on both forms; `before` holds all objects there were, in no causal order. */
function run(steps: Step[]): { replicas: Held[]; all: Uint8Array[] } {
  let actors = 0;
  let writes = 0;
  // Spread over the bytes, so that their order is not the order of creation.
  const newActor = () => {
    const actor = new Uint8Array(12);
    actors++;
    actor[(actors * 5) % 12] = (actors * 83) & 0xff;
    actor[11] = actors;
    return actor;
  };
  const replicas: Held[] = Array.from({ length: REPLICAS }, () => ({
    bytes: undefined,
    model: dvvSet<string>([]),
    actor: newActor(),
  }));
  const all: Uint8Array[] = [];
  for (const step of steps) {
    if (step.do === "send") {
      const from = replicas[step.from]!;
      const to = replicas[step.to]!;
      if (from.bytes === undefined) continue;
      to.bytes = to.bytes === undefined
        ? from.bytes
        : mergeObjects(to.bytes, from.bytes);
      to.model = syncDvv([to.model, from.model]);
    } else if (step.do === "restart") {
      replicas[step.replica]!.actor = newActor();
    } else if (step.do === "lose") {
      replicas[step.replica] = {
        bytes: undefined,
        model: dvvSet<string>([]),
        actor: newActor(),
      };
    } else {
      const at = replicas[step.replica]!;
      const seen = step.seen === undefined ? undefined : replicas[step.seen]!;
      const value = step.remove ? "" : `value ${++writes}`;
      at.bytes = writeToObject(
        at.bytes,
        seen?.bytes === undefined ? undefined : contextOf(seen.bytes),
        at.actor,
        {
          flags: step.remove ? SiblingFlag.tombstone : 0,
          lastModified: writes,
          value: new TextEncoder().encode(value),
        },
      );
      at.model = updateDvv(
        dvvSet([value], seen === undefined ? [] : dvvContext(seen.model)),
        hex(at.actor),
        at.model,
      );
    }
    for (const { bytes } of replicas) {
      if (bytes !== undefined) all.push(bytes);
    }
  }
  return { replicas, all };
}

function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Actors, counters and number of siblings of each, as the model shows them. */
function shape(bytes: Uint8Array): [string, number, number][] {
  return Array.from({ length: entryCount(bytes) }, (_, i) => {
    const at = 6 + i * 20;
    return [
      hex(bytes.subarray(at, at + 12)),
      readU48(bytes, at + 12),
      readU16(bytes, at + 18),
    ];
  });
}

Deno.test("writeToObject() and mergeObjects() agree with updateDvv() and syncDvv() in any history", () => {
  fc.assert(fc.property(history, (steps) => {
    for (const { bytes, model } of run(steps).replicas) {
      if (bytes === undefined) {
        assertEquals(model.entries, []);
        continue;
      }
      checkObject(bytes);
      assertEquals(
        shape(bytes),
        model.entries.map(({ id, counter, values }) => [
          id,
          counter,
          values.length,
        ]),
      );
      assertEquals(
        readSiblings(bytes).map(({ value }) => text.decode(value)),
        dvvValues(model),
      );
    }
  }));
});

Deno.test("mergeObjects() commutes, associates and is idempotent, down to the bytes", () => {
  fc.assert(
    fc.property(
      history,
      fc.nat(),
      fc.nat(),
      fc.nat(),
      (steps, i, j, k) => {
        const { all } = run(steps);
        if (all.length === 0) return;
        const a = all[i % all.length]!;
        const b = all[j % all.length]!;
        const c = all[k % all.length]!;
        assertEquals(mergeObjects(a, b), mergeObjects(b, a));
        assertEquals(
          mergeObjects(mergeObjects(a, b), c),
          mergeObjects(a, mergeObjects(b, c)),
        );
        assert(mergeObjects(a, a) === a);
        checkObject(mergeObjects(a, b));
      },
    ),
  );
});

Deno.test("mergeObjects() returns the object that holds all of the other", () => {
  fc.assert(fc.property(history, fc.nat(), fc.nat(), (steps, i, j) => {
    const { all } = run(steps);
    if (all.length === 0) return;
    const a = all[i % all.length]!;
    const b = all[j % all.length]!;
    const merged = mergeObjects(a, b);
    switch (relateObjects(a, b)) {
      case "equal":
        assertEquals(a, b);
        break;
      case "newer":
        assert(merged === a);
        assertEquals(relateObjects(b, a), "older");
        break;
      case "older":
        assert(merged === b);
        assertEquals(relateObjects(b, a), "newer");
        break;
      case "concurrent":
        assertEquals(relateObjects(merged, a), "newer");
        assertEquals(relateObjects(merged, b), "newer");
        break;
    }
  }));
});

Deno.test("checkObject() accepts only what would be encoded the same again", () => {
  const mutation = fc.record({
    at: fc.nat(),
    byte: fc.nat({ max: 255 }),
    cut: fc.nat({ max: 3 }),
  });
  fc.assert(
    fc.property(history, fc.nat(), mutation, (steps, i, { at, byte, cut }) => {
      const { all } = run(steps);
      if (all.length === 0) return;
      const whole = all[i % all.length]!;
      const bytes = whole.slice(0, Math.max(0, whole.length - cut));
      if (bytes.length > 0) bytes[at % bytes.length] = byte;
      try {
        checkObject(bytes);
      } catch (error) {
        assert(error instanceof WhorlError);
        return;
      }
      // What passes is safe to work with, even merged with what it was made of.
      readSiblings(bytes);
      checkObject(mergeObjects(whole, bytes));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("checkObject() and checkContext() refuse arbitrary bytes with a WhorlError", () => {
  const header = fc.constantFrom([], [1], [1, 0], [1, 0, 0, 1], [
    1,
    0,
    0,
    1,
    0,
    1,
  ]);
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 60 }), (start, rest) => {
      const bytes = new Uint8Array([...start, ...rest]);
      for (const check of [checkContext, checkObject, kvObjectMerge.check]) {
        try {
          check(bytes);
        } catch (error) {
          assert(error instanceof WhorlError, String(error));
        }
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("contextFromText() undoes contextToText(), and refuses a changed text", () => {
  fc.assert(
    fc.property(
      history,
      fc.nat(),
      fc.nat(),
      fc.nat({ max: 63 }),
      (steps, i, at, letter) => {
        const { all } = run(steps);
        if (all.length === 0) return;
        const context = contextOf(all[i % all.length]!);
        checkContext(context);
        const text = contextToText(context);
        assertEquals(contextFromText(text), context);
        const letters =
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const place = at % text.length;
        const changed = text.slice(0, place) + letters[letter] +
          text.slice(place + 1);
        if (changed === text) return;
        assertThrows(() => contextFromText(changed), WhorlError);
      },
    ),
  );
});
