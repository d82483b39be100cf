import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  contextFromText,
  contextOf,
  contextToText,
} from "../../kv/causal_context.ts";
import { mergeObjects, writeToObject } from "../../kv/kv_object.ts";
import { readSiblings, SiblingFlag } from "../../kv/kv_object_codec.ts";
import {
  type AcknowledgedWritesOptions,
  checkAcknowledgedWrites,
} from "./acknowledged_writes.ts";
import type { KvInput, KvOutput, KvRead, KvRecord } from "./kv_history.ts";
import { HistoryRecorder } from "../history.ts";

/**
 * Objects made like those of `kv`, and what clients are told of them, each
 * operation at its own time.
 */
class Story {
  #nowMs = 0;
  readonly #history = new HistoryRecorder<KvInput, KvOutput>(() =>
    this.#nowMs++
  );

  get records(): readonly KvRecord[] {
    return this.#history.records;
  }

  /** A write at the vnode `actor`, which holds `local`. */
  write(
    value: number | "delete",
    actor: number,
    local?: Uint8Array,
    context?: string,
    outcome: "ok" | "unknown" | "failed" = "ok",
  ): Uint8Array {
    const input: KvInput = value === "delete"
      ? { type: "delete", context }
      : { type: "put", value, context };
    const record = this.#history.invoke("writer", "k", input);
    const object = writeToObject(
      local,
      context === undefined ? undefined : contextFromText(context),
      new Uint8Array(12).fill(actor),
      {
        flags: value === "delete" ? SiblingFlag.tombstone : SiblingFlag.json,
        lastModified: 0,
        value: new TextEncoder().encode(
          value === "delete" ? "" : String(value),
        ),
      },
    );
    if (outcome === "ok") {
      this.#history.succeed(record, {
        context: contextToText(contextOf(object)),
        siblings: seen(object).values.length,
      });
    }
    if (outcome === "unknown") this.#history.lose(record, "timeout");
    if (outcome === "failed") this.#history.fail(record, "overload");
    return object;
  }

  /** A read that finds `object`. */
  read(object: Uint8Array | undefined, client = "reader"): string | undefined {
    return this.tell(seen(object), client);
  }

  /** A read with a result that no object need have had. */
  tell(read: KvRead, client = "reader"): string | undefined {
    const record = this.#history.invoke(client, "k", { type: "get" });
    this.#history.succeed(record, read);
    return read.context ?? undefined;
  }

  check(
    finally_: Uint8Array | KvRead | undefined,
    options?: AcknowledgedWritesOptions,
  ): { check: string; message: string; operations: readonly number[] }[] {
    const read = finally_ instanceof Uint8Array || finally_ === undefined
      ? seen(finally_)
      : finally_;
    return checkAcknowledgedWrites(
      this.records,
      new Map([["k", read]]),
      options,
    ).map(({ check, message, operations = [] }) => ({
      check,
      message,
      operations,
    }));
  }
}

function seen(object: Uint8Array | undefined): KvRead {
  if (object === undefined) return { values: [], context: null };
  const values = readSiblings(object)
    .filter(({ flags }) => !(flags & SiblingFlag.tombstone))
    .map(({ value }) => JSON.parse(new TextDecoder().decode(value)) as number);
  return { values, context: contextToText(contextOf(object)) };
}

Deno.test("checkAcknowledgedWrites() passes siblings and writes that replace what was read", () => {
  const story = new Story();
  const one = story.write(1, 1);
  const two = story.write(2, 2);
  const context = story.read(mergeObjects(one, two));
  const three = story.write(3, 1, one, context);
  const four = story.write(4, 2, two, undefined, "unknown");
  assertEquals(story.check(mergeObjects(three, four)), []);
  assertEquals(story.check(three), []);
});

Deno.test("checkAcknowledgedWrites() reports a write that the final read does not know", () => {
  const story = new Story();
  story.write(1, 1);
  const two = story.write(2, 2);
  assertEquals(story.check(two), [{
    check: "acknowledged_write_lost",
    message:
      'Key "k": the final read does not know operation 0, acknowledged to writer at 1 ms, which wrote 1: it shows 2',
    operations: [0],
  }]);
});

Deno.test("checkAcknowledgedWrites() reports a write that was overwritten by one that had not read it", () => {
  const story = new Story();
  const one = story.write(1, 1);
  const two = story.write(2, 1, one);
  const { context } = seen(two);
  assertEquals(
    story.check({ values: [2], context }).map(({ check, operations }) => ({
      check,
      operations,
    })),
    [{ check: "acknowledged_write_lost", operations: [0] }],
  );
});

Deno.test("checkAcknowledgedWrites() accepts an unknown write as an excuse if its context included what is gone", () => {
  const story = new Story();
  const one = story.write(1, 1);
  const context = story.read(one);
  const two = story.write(2, 2, one, context, "unknown");
  assertEquals(story.check(two), []);
  assertEquals(story.check(one), []);
});

Deno.test("checkAcknowledgedWrites() reports a forgotten delete", () => {
  const story = new Story();
  const one = story.write(1, 1);
  const context = story.read(one);
  const gone = story.write("delete", 2, one, context);
  assertEquals(story.check(gone), []);
  const [violation] = story.check(one);
  assertEquals(violation!.check, "acknowledged_write_lost");
  assertEquals(violation!.operations, [2]);
});

Deno.test("checkAcknowledgedWrites() reports a deleted value that comes back", () => {
  const story = new Story();
  const one = story.write(1, 1);
  const context = story.read(one);
  const gone = story.write("delete", 2, one, context);
  const back = { values: [1], context: seen(gone).context };
  story.tell(back);
  const violations = story.check(gone);
  assertEquals(violations.map(({ check }) => check), ["resurrected_value"]);
  assertEquals(violations[0]!.operations, [0, 2, 3]);
  assert(
    violations[0]!.message.includes("which operation 2 has replaced"),
    violations[0]!.message,
  );
});

Deno.test("checkAcknowledgedWrites() lets a value come back if its write may have been made twice, unless told otherwise", () => {
  const story = new Story();
  // The first coordinator falls silent, the second is asked; the client is
  // answered by the second.
  const lost = writeToObject(undefined, undefined, new Uint8Array(12).fill(9), {
    flags: SiblingFlag.json,
    lastModified: 0,
    value: new TextEncoder().encode("1"),
  });
  const one = story.write(1, 1);
  const gone = story.write("delete", 1, one, seen(one).context!);
  const both = mergeObjects(gone, lost);
  assertEquals(seen(both).values, [1]);
  assertEquals(story.check(both), []);
  assertEquals(
    story.check(both, { copiesMax: 1 }).map(({ check }) => check),
    ["resurrected_value"],
  );
});

Deno.test("checkAcknowledgedWrites() reports values that nobody can have written", () => {
  const story = new Story();
  story.write(1, 1, undefined, undefined, "failed");
  const context = contextToText(contextOf(
    writeToObject(undefined, undefined, new Uint8Array(12), {
      flags: 0,
      lastModified: 0,
      value: new Uint8Array(),
    }),
  ));
  story.tell({ values: [1], context });
  story.tell({ values: [2], context });
  const late = story.write(2, 2);
  const violations = story.check(late);
  assertEquals(violations.map(({ check, operations }) => [check, operations]), [
    ["phantom_value", [0, 1]],
    ["phantom_value", [2, 3]],
  ]);
  assert(violations[0]!.message.includes("failed with overload"));
  assert(violations[1]!.message.includes("only to write from 6 ms on"));
});

Deno.test("checkAcknowledgedWrites() counts siblings", () => {
  const story = new Story();
  const one = story.write(1, 1);
  const { context } = seen(one);
  const final = { values: [1, 1, 1, 1], context };
  assertEquals(story.check({ ...final, values: [1, 1, 1] }), []);
  assertEquals(story.check(final).map(({ check }) => check), ["sibling_count"]);
  assertEquals(
    story.check({ ...final, values: [1, 1] }, { copiesMax: 1 })
      .map(({ check }) => check),
    ["sibling_count"],
  );
});

Deno.test("checkAcknowledgedWrites() reports two writes with one dot", () => {
  const story = new Story();
  story.write(1, 1);
  const again = story.write(2, 1);
  assertEquals(
    story.check(again).map(({ check, operations }) => [check, operations]),
    [["kv_context", [1]]],
  );
  const together = story.records.map((record) => ({
    ...record,
    invokedAtMs: 0,
  }));
  const [violation] = checkAcknowledgedWrites(
    together,
    new Map([["k", seen(again)]]),
  );
  assertEquals([violation!.check, violation!.operations!.toSorted()], [
    "kv_context",
    [0, 1],
  ]);
});

Deno.test("checkAcknowledgedWrites() reports impossible contexts", () => {
  const story = new Story();
  story.tell({ values: [], context: "nonsense" });
  assertEquals(story.check(undefined).map(({ check }) => check), [
    "kv_context",
  ]);
});

Deno.test("checkAcknowledgedWrites() checks reads against the requested guarantees", () => {
  const story = new Story();
  const one = story.write(1, 1);
  story.read(one, "other");
  story.read(undefined, "other");
  story.read(undefined, "writer");
  const checks = (options?: AcknowledgedWritesOptions) =>
    story.check(one, options).map(({ check, operations }) =>
      `${check} ${operations}`
    );
  assertEquals(checks(), []);
  assertEquals(checks({ readsSeeAcknowledged: true }), [
    "stale_read 0,2",
    "stale_read 0,3",
  ]);
  assertEquals(checks({ readYourWrites: true }), ["read_your_writes 0,3"]);
  assertEquals(checks({ monotonicReads: true }), ["monotonic_reads 1,2"]);
});

Deno.test("checkAcknowledgedWrites() requires a final read of every key with acknowledged writes that count", () => {
  const story = new Story();
  story.write(1, 1);
  const none = new Map<string, KvRead>();
  assertEquals(
    checkAcknowledgedWrites(story.records, none).map(({ check }) => check),
    ["acknowledged_write_unread"],
  );
  const counts = () => false;
  assertEquals(checkAcknowledgedWrites(story.records, none, { counts }), []);
  assertEquals(story.check(undefined, { counts }), []);
});

Deno.test("checkAcknowledgedWrites() refuses an ok operation without output", () => {
  const story = new Story();
  story.write(1, 1);
  const [record] = story.records as [KvRecord];
  assertThrows(
    () =>
      checkAcknowledgedWrites([{ ...record, output: undefined }], new Map()),
    TypeError,
    "Cannot check operation 0",
  );
});
