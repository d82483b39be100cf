/**
 * Every store compared with a plain map, under any sequence of calls.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { put } from "../../src/storage/testing/store_calls.ts";
import { bytes, kinds, patterned, rowsOf } from "./store_kinds.ts";

for (const kind of kinds) {
  Deno.test(`${kind.name} store behaves like a sorted map under any calls`, async () => {
    const anyKey = fc.array(fc.constantFrom(0, 1, 255), { maxLength: 3 });
    const anyCall = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          call: fc.constant("write" as const),
          waits: fc.boolean(),
          writes: fc.array(
            fc.tuple(
              anyKey,
              fc.option(fc.constantFrom(0, 1, 40, 300, 61_000)),
            ),
            { maxLength: 6 },
          ),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ call: fc.constant("get" as const), at: anyKey }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          call: fc.constant("scan" as const),
          start: fc.option(anyKey),
          end: fc.option(anyKey),
          reverse: fc.boolean(),
          limit: fc.option(fc.nat(5)),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          call: fc.constant("deleteRange" as const),
          start: fc.option(anyKey),
          end: fc.option(anyKey),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ call: fc.constant("reopen" as const) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyCall, { maxLength: 30 }),
        (calls) =>
          kind.use(async (first, reopen) => {
            let partition = first.partition(5);
            const model = new Map<string, Uint8Array>();
            const nameOf = (one: readonly number[]) =>
              String.fromCharCode(...one);
            const inRange = (
              start: number[] | null,
              end: number[] | null,
            ) =>
              [...model.keys()].sort().filter((one) =>
                (start === null || one >= nameOf(start)) &&
                (end === null || one < nameOf(end))
              );
            const rangeOf = (start: number[] | null, end: number[] | null) => ({
              ...(start === null ? {} : { start: bytes(...start) }),
              ...(end === null ? {} : { end: bytes(...end) }),
            });
            const pending: Promise<void>[] = [];
            let seed = 0;
            for (const call of calls) {
              if (call.call === "write") {
                const writes = call.writes.map(([at, size]) => ({
                  key: bytes(...at),
                  value: size === null ? null : patterned(size, seed++),
                }));
                for (const write of writes) {
                  if (write.value === null) {
                    model.delete(nameOf([...write.key]));
                  } else model.set(nameOf([...write.key]), write.value);
                }
                const done = put(partition, ...writes);
                if (call.waits) await done;
                else pending.push(done);
              } else if (call.call === "get") {
                assertEquals(
                  await partition.get(bytes(...call.at)),
                  model.get(nameOf(call.at)),
                );
              } else if (call.call === "scan") {
                const expected = inRange(call.start, call.end);
                if (call.reverse) expected.reverse();
                const found: string[] = [];
                for await (
                  const entry of partition.scan({
                    ...rangeOf(call.start, call.end),
                    reverse: call.reverse,
                    ...(call.limit === null ? {} : { limit: call.limit }),
                  })
                ) {
                  found.push(nameOf([...entry.key]));
                  assertEquals(
                    entry.value,
                    model.get(nameOf([...entry.key])),
                  );
                }
                assertEquals(found, expected.slice(0, call.limit ?? Infinity));
                const { rows } = await rowsOf(partition, {
                  ...rangeOf(call.start, call.end),
                  reverse: call.reverse,
                  ...(call.limit === null ? {} : { limit: call.limit }),
                });
                assertEquals(
                  rows,
                  found.map((one) => [one, model.get(one) as Uint8Array]),
                );
              } else if (call.call === "deleteRange") {
                for (const one of inRange(call.start, call.end)) {
                  model.delete(one);
                }
                const { start, end } = rangeOf(call.start, call.end) as {
                  start?: Uint8Array;
                  end?: Uint8Array;
                };
                await partition.deleteRange(start, end);
              } else {
                partition = (await reopen()).partition(5);
              }
            }
            await Promise.all(pending);
            assertEquals(await partition.count(), model.size);
          }),
      ),
      { numRuns: 60 },
    );
  });
}
