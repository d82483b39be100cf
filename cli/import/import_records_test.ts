import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import { type FakeKv, fakeKv } from "../../src/prompt/testing/fake_kv.ts";
import {
  type ImportOptions,
  importRecords,
  REJECTS_KEPT_MAX,
  storeRecords,
} from "./import_records.ts";

const encode = (text: string) => new TextEncoder().encode(text);

function run(
  kv: FakeKv,
  text: string,
  options: Partial<ImportOptions> = {},
) {
  return importRecords([encode(text)], kv, {
    bucket: "b",
    key: "id",
    ...options,
  });
}

const lines = (count: number) =>
  Array.from({ length: count }, (_, i) => `{"id":${i},"n":${i}}`).join("\n");

Deno.test("importRecords() stores each record under its key", async () => {
  const kv = fakeKv();
  const report = await run(kv, '{"id":"ann","n":1}\n{"id":7,"n":2}\n');
  assertEquals([report.records, report.added, report.rejected], [2, 2, 0]);
  assertEquals(report.endedEarly, null);
  assertEquals([...kv.stored], [
    ["b/ann", [{ id: "ann", n: 1 }]],
    ["b/7", [{ id: 7, n: 2 }]],
  ]);
});

Deno.test("importRecords() writes nothing when it is run again", async () => {
  const kv = fakeKv();
  await run(kv, lines(100));
  const before = kv.stored;
  const report = await run(kv, lines(100));
  assertEquals([report.unchanged, report.added, report.updated], [100, 0, 0]);
  assertEquals(kv.calls.put, 100);
  assertEquals(kv.stored, before);
});

Deno.test("importRecords() replaces what differs, siblings included", async () => {
  const kv = fakeKv();
  await kv.put("b", "1", "mine");
  await kv.put("b", "1", "yours");
  assertEquals(kv.stored.get("b/1")?.length, 2);
  const report = await run(kv, '{"id":1}');
  assertEquals(report.updated, 1);
  assertEquals(kv.stored.get("b/1"), [{ id: 1 }]);
});

Deno.test("importRecords() leaves one value, the last in the file, when keys repeat", async () => {
  const kv = fakeKv();
  // Later operations are quicker, so only order can keep the last one last.
  let delay = 20;
  kv.before = () => new Promise((done) => setTimeout(done, delay--));
  const text = '{"id":1,"v":1}\n{"id":1,"v":2}\n{"id":"1","v":3}\n{"id":2}\n';
  const report = await run(kv, text);
  assertEquals([report.added, report.updated], [2, 2]);
  assertEquals(kv.stored.get("b/1"), [{ id: "1", v: 3 }]);
});

Deno.test("importRecords() reports every reject by line and stores the rest", async () => {
  const kv = fakeKv();
  const told: number[] = [];
  const report = await run(
    kv,
    [
      '{"id":1}',
      "{broken",
      '{"name":"no key"}',
      '{"id":null}',
      '{"id":""}',
      '{"id":{}}',
      "[1]",
      '{"id":9007199254740993}',
      '{"id":2}',
    ].join("\n"),
    { onReject: ({ line }) => told.push(line) },
  );
  assertEquals([report.records, report.added, report.rejected], [9, 2, 7]);
  assertEquals(told, [2, 3, 4, 5, 6, 7, 8]);
  assertEquals(report.rejects.slice(1).map(({ reason }) => reason), [
    'key field "id" is missing',
    'key field "id" is null',
    'key field "id" is empty',
    'key field "id" is an object',
    "not an object but an array",
    'key field "id" is a number too large to be exact: write it as text',
  ]);
});

Deno.test("importRecords() finds keys by dotted path, and fields whose name has dots", async () => {
  const kv = fakeKv();
  const report = await run(
    kv,
    '{"user":{"id":1}}\n{"user.id":2}\n{"user":{"id.x":3}}\n{"user":[]}',
    { key: "user.id" },
  );
  assertEquals([...kv.stored.keys()], ["b/1", "b/2"]);
  assertEquals(report.rejects.map(({ line }) => line), [3, 4]);
});

Deno.test("importRecords() keeps no more under way than it was told, and reads no further ahead", async () => {
  const kv = fakeKv();
  kv.before = () => new Promise((done) => setTimeout(done, 0));
  let asked = 0;
  function* source() {
    for (let i = 0; i < 50; i++) {
      asked = i;
      yield encode(`{"id":${i}}\n`);
      assert(
        asked <= kv.calls.put + 9,
        "the source is asked only when there is room",
      );
    }
  }
  await importRecords(source(), kv, { bucket: "b", key: "id", concurrency: 8 });
  assertEquals(kv.underWayMax, 8);
  assertEquals(kv.stored.size, 50);
});

Deno.test("importRecords() tries again while the cluster is in trouble, and rereads before it writes again", async () => {
  const kv = fakeKv();
  let failures = 3;
  kv.before = (operation) => {
    if (operation === "put" && failures-- > 0) {
      throw new WhorlError("timeout", "Cannot put in time");
    }
  };
  const report = await run(kv, '{"id":1}');
  assertEquals([report.added, report.retries, report.rejected], [1, 3, 0]);
  assertEquals(kv.calls.get, 4);
});

Deno.test("importRecords() counts a write whose answer was lost once", async () => {
  const kv = fakeKv();
  const put = kv.put;
  let lost = true;
  kv.put = async (...args) => {
    const result = await put(...args);
    if (!lost) return result;
    lost = false;
    throw new WhorlError("connection_closed", "Cannot hear the answer");
  };
  const report = await run(kv, '{"id":1}');
  assertEquals([report.unchanged, report.retries], [1, 1]);
  assertEquals(kv.stored.get("b/1"), [{ id: 1 }]);
});

Deno.test("importRecords() rejects a record when trouble outlasts its patience", async () => {
  const kv = fakeKv();
  kv.before = () => {
    throw new WhorlError("overload", "Cannot take more");
  };
  const report = await run(kv, '{"id":1}', { retryForMs: 120 });
  assertEquals(report.rejects, [{
    line: 1,
    reason: "Cannot take more (overload)",
  }]);
});

Deno.test("importRecords() rejects at once what no second attempt can mend", async () => {
  const kv = fakeKv();
  kv.before = (_, key) => {
    if (key === "1") throw new WhorlError("invalid_key", "Cannot use this key");
  };
  const report = await run(kv, '{"id":1}\n{"id":2}');
  assertEquals([report.added, report.rejected, report.retries], [1, 1, 0]);
});

Deno.test("importRecords() throws what is no failure of a record", async () => {
  const kv = fakeKv();
  kv.before = () => {
    throw new TypeError("a bug");
  };
  await assertRejects(() => run(kv, lines(3)), TypeError, "a bug");
});

Deno.test("importRecords() stores what stands before a break in a JSON array and says so", async () => {
  const kv = fakeKv();
  const report = await run(kv, '[{"id":1},{"id":2},\n{"id":3');
  assertEquals(report.added, 2);
  assert(report.endedEarly?.includes("line 2"), report.endedEarly ?? "null");
});

Deno.test("importRecords() ends when told to, even while it waits for a pipe", async () => {
  const kv = fakeKv();
  const controller = new AbortController();
  const source = new ReadableStream<Uint8Array>({
    start: (stream) => stream.enqueue(encode('{"id":1}\n{"id":2}\n')),
  });
  kv.before = (operation) => {
    if (operation === "put") controller.abort();
  };
  const report = await importRecords(source, kv, {
    bucket: "b",
    key: "id",
    format: "ndjson",
    signal: controller.signal,
  });
  assertEquals(report.added, 2);
  assertEquals(report.endedEarly, "interrupted");
});

Deno.test("importRecords() keeps the first rejects and counts all", async () => {
  const report = await run(fakeKv(), "{\n".repeat(REJECTS_KEPT_MAX + 5));
  assertEquals(report.rejected, REJECTS_KEPT_MAX + 5);
  assertEquals(report.rejects.length, REJECTS_KEPT_MAX);
});

Deno.test("importRecords() tells JSON arrays from lines by the first character, and asks otherwise", async () => {
  const array = await run(fakeKv(), ' \n[{"id":1}]');
  assertEquals(array.added, 1);
  const neither = await run(fakeKv(), "id,name\n1,ann\n");
  assert(neither.endedEarly?.includes("--format"), "says what to do");
  const late = ["\n", " ", '{"id":1}\n'].map(encode);
  const options = { bucket: "b", key: "id" };
  assertEquals((await importRecords(late, fakeKv(), options)).added, 1);
  const empty = await run(fakeKv(), "");
  assertEquals([empty.records, empty.endedEarly], [0, null]);
});

Deno.test("storeRecords() refuses a concurrency of nothing", async () => {
  await assertRejects(
    () =>
      storeRecords([], fakeKv(), { bucket: "b", key: "id", concurrency: 0 }),
    RangeError,
    "concurrency",
  );
});
