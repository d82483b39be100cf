import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  emptyOperationHeader,
  OPERATION_FLAGS_OFFSET,
  OPERATION_TIME_LEFT_OFFSET,
  OperationFlag,
  OperationKind,
  type OperationResult,
  readOperationHeader,
  readOperationResult,
  writeOperationHeader,
  writeOperationResult,
} from "./operation_codec.ts";

const HEADER = {
  kind: OperationKind.put as number,
  flags: OperationFlag.strict | OperationFlag.withoutReplicas,
  moduleId: 0xfedc_ba98,
  command: 3,
  n: 5,
  quorum: 4,
  primaries: 2,
  durable: 1,
  nodeConfirms: 6,
  timeLeftMs: 5_000,
};

/** An operation, with other bytes before and after it. */
function operation(
  header: typeof HEADER,
  key: string,
  body: Uint8Array,
): { bytes: Uint8Array; start: number; end: number } {
  const into = new ByteWriter();
  into.u32(0xffff_ffff);
  const start = into.length;
  writeOperationHeader(into, header);
  into.text(key);
  into.raw(body);
  const end = into.length;
  into.u32(0xffff_ffff);
  return { bytes: into.copy(), start, end };
}

function refused(work: () => unknown): string {
  const error = assertThrows(work, WhorlError);
  assert(isWhorlError(error, "protocol_error"), error.code);
  return error.message;
}

Deno.test("writeOperationHeader() writes the format of docs/wire_format.md", () => {
  const into = new ByteWriter();
  writeOperationHeader(into, HEADER);
  assertEquals(
    into.view().toHex(),
    "02" + "0a" + "fedcba98" + "03" + "05" + "04" + "02" + "01" + "06" +
      "00001388",
  );
});

Deno.test("readOperationHeader() undoes writeOperationHeader() and finds key and body", () => {
  const byte = fc.nat(255);
  const header = fc.record({
    kind: fc.constantFrom(...Object.values(OperationKind)),
    flags: byte,
    moduleId: fc.nat(0xffff_ffff),
    command: byte,
    n: byte,
    quorum: byte,
    primaries: byte,
    durable: byte,
    nodeConfirms: byte,
    timeLeftMs: fc.nat(0xffff_ffff),
  });
  fc.assert(
    fc.property(
      header,
      fc.string(),
      fc.uint8Array({ maxLength: 40 }),
      (header, key, body) => {
        const { bytes, start, end } = operation(header, key, body);
        const read = emptyOperationHeader();
        readOperationHeader(new ByteReader(bytes, start, end), read);
        const { keyFieldStart, keyStart, keyEnd, end: bodyEnd, ...rest } = read;
        assertEquals(rest, header);
        assertEquals(keyStart, keyFieldStart + 2);
        assertEquals(
          new TextDecoder("utf-8", { ignoreBOM: true }).decode(
            bytes.subarray(keyStart, keyEnd),
          ),
          key,
        );
        assertEquals(bytes.subarray(keyEnd, bodyEnd), body);
      },
    ),
  );
});

Deno.test("OPERATION_FLAGS_OFFSET and OPERATION_TIME_LEFT_OFFSET point at the fields they name", () => {
  const { bytes, start, end } = operation(HEADER, "k", new Uint8Array(0));
  const view = new DataView(bytes.buffer);
  view.setUint8(start + OPERATION_FLAGS_OFFSET, 9);
  view.setUint32(start + OPERATION_TIME_LEFT_OFFSET, 77);
  const read = emptyOperationHeader();
  readOperationHeader(new ByteReader(bytes, start, end), read);
  assertEquals([read.flags, read.timeLeftMs], [9, 77]);
  assertEquals({ ...HEADER, flags: 9, timeLeftMs: 77 }, {
    ...HEADER,
    ...Object.fromEntries(
      Object.keys(HEADER).map((key) => [key, read[key as keyof typeof HEADER]]),
    ),
  });
});

Deno.test("readOperationHeader() refuses an operation of unknown kind", () => {
  for (const kind of [0, 8, 255]) {
    const { bytes, start, end } = operation(
      { ...HEADER, kind },
      "k",
      new Uint8Array(0),
    );
    assertEquals(
      refused(() =>
        readOperationHeader(
          new ByteReader(bytes, start, end),
          emptyOperationHeader(),
        )
      ),
      `Cannot run an operation of unknown kind ${kind}`,
    );
  }
});

Deno.test("readOperationHeader() refuses an operation cut short in its header or key", () => {
  const { bytes, start, end } = operation(HEADER, "key", new Uint8Array(0));
  for (let cut = start; cut < end; cut++) {
    refused(() =>
      readOperationHeader(
        new ByteReader(bytes, start, cut),
        emptyOperationHeader(),
      )
    );
  }
  readOperationHeader(
    new ByteReader(bytes, start, end),
    emptyOperationHeader(),
  );
});

function travelled(result: OperationResult): OperationResult {
  const into = new ByteWriter();
  writeOperationResult(into, result);
  return readOperationResult(new ByteReader(into.copy()));
}

const result: fc.Arbitrary<OperationResult> = fc.record({
  object: fc.option(fc.uint8Array({ minLength: 1, maxLength: 40 }), {
    nil: undefined,
  }),
  replies: fc.array(
    fc.option(fc.uint8Array({ maxLength: 20 }), { nil: undefined }),
    { maxLength: 8 },
  ),
  replicas: fc.array(
    fc.record({
      partition: fc.nat(1_023),
      node: fc.string(),
      primary: fc.boolean(),
      state: fc.constantFrom(
        "done",
        "accepted",
        "failed",
        "missing",
        "skipped",
      ),
      error: fc.record({ code: fc.constant("timeout"), message: fc.string() }),
    }, {
      requiredKeys: ["partition", "node", "primary", "state"],
      noNullPrototype: true,
    }),
    { maxLength: 8 },
  ),
}, { noNullPrototype: true }) as fc.Arbitrary<OperationResult>;

Deno.test("readOperationResult() undoes writeOperationResult()", () => {
  fc.assert(
    fc.property(result, (result) => assertEquals(travelled(result), result)),
  );
});

Deno.test("readOperationResult() tells an empty reply from none", () => {
  const { replies, object } = travelled({
    object: undefined,
    replies: [undefined, new Uint8Array(0)],
    replicas: [],
  });
  assertEquals([replies, object], [[undefined, new Uint8Array(0)], undefined]);
});

Deno.test("writeOperationResult() shortens a message that is too long", () => {
  const replica = {
    partition: 1,
    node: "a@host",
    primary: true,
    state: "failed",
  } as const;
  const [read] = travelled({
    object: undefined,
    replies: [],
    replicas: [{
      ...replica,
      error: { code: "vnode_error", message: "x".repeat(70_000) },
    }],
  }).replicas;
  assertEquals(read, {
    ...replica,
    error: { code: "vnode_error", message: "x".repeat(1_000) },
  });
});

Deno.test("readOperationResult() refuses an unknown state and a result that is cut short", () => {
  const into = new ByteWriter();
  writeOperationResult(into, {
    object: undefined,
    replies: [Uint8Array.of(1, 2)],
    replicas: [{
      partition: 1,
      node: "a@host",
      primary: true,
      state: "done",
      error: { code: "timeout", message: "late" },
    }],
  });
  const bytes = into.copy();
  for (let cut = 0; cut < bytes.length; cut++) {
    refused(() => readOperationResult(new ByteReader(bytes, 0, cut)));
  }
  // After u8 count and u16 partition.
  bytes[3] = 5;
  assertEquals(
    refused(() => readOperationResult(new ByteReader(bytes))),
    "Cannot read a replica's state",
  );
});

Deno.test("readOperationResult() throws nothing but refusals, whatever the bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    try {
      readOperationResult(new ByteReader(bytes));
    } catch (error) {
      assert(isWhorlError(error, "protocol_error"));
    }
  }));
});
