import { assertEquals, assertRejects } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import {
  emptyOperationHeader,
  OperationFlag,
  type OperationHeader,
  OperationKind,
  readOperationHeader,
} from "../request/operation_codec.ts";
import {
  writePageReport,
  writePageStart,
  writePiece,
} from "../request/coverage_page_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { chashKey } from "../ring/chash.ts";
import { command } from "../vnode/define_vnode.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import {
  encodeErlangTerm,
  erlangAtom,
  type ErlangTerm,
  erlangTuple,
} from "../wire/etf.ts";
import { decodeMsgpack, writeMsgpack } from "../wire/msgpack.ts";
import { moduleClient } from "./module_client.ts";

const MODULE = {
  name: "adder",
  commands: {
    clear: command(),
    add: command<{ by: number }, number, "too_much">({
      failures: ["too_much"],
    }),
  },
};

interface Sent {
  readonly header: OperationHeader;
  readonly key: Uint8Array;
  readonly body: unknown;
  readonly target: OperationTarget;
}

/** A client whose operations are kept for the test to inspect and answer. */
function client() {
  const sent: Sent[] = [];
  const adder = moduleClient(MODULE, () => ({
    submit(bytes, start, end, target) {
      const copy = bytes.slice(start, end);
      const header = emptyOperationHeader();
      readOperationHeader(new ByteReader(copy), header);
      const body = copy.subarray(header.keyEnd);
      sent.push({
        header,
        key: copy.subarray(header.keyStart, header.keyEnd),
        body: body.length === 0 ? undefined : decodeMsgpack(body),
        target,
      });
    },
  }));
  return { adder, sent };
}

function replyOf(value: unknown): Uint8Array {
  const into = new ByteWriter(16);
  writeMsgpack(value, into);
  return into.copy();
}

async function codeOf(work: Promise<unknown>): Promise<ErrorCode> {
  return (await assertRejects(() => work, WhorlError)).code;
}

Deno.test("moduleClient() sends only the command's number, the quorum and the body", async () => {
  const { adder, sent } = client();
  const request = adder.request("b", "k", "add", { by: 2 }, { n: 5, w: 4 });
  const { header, body, target } = sent[0] as Sent;
  assertEquals(header.kind, OperationKind.request);
  assertEquals(header.flags, OperationFlag.bodyOnly);
  assertEquals(header.moduleId, moduleIdOf("adder"));
  assertEquals(header.command, 1);
  assertEquals([header.n, header.quorum, header.durable], [5, 4, 4]);
  assertEquals(body, { by: 2 });
  target.operationDone({
    object: undefined,
    replies: [replyOf(3), undefined],
    replicas: [],
  });
  assertEquals((await request).replies, [3, undefined]);
});

Deno.test("moduleClient() counts r as a read and excludes fallbacks when asked to", () => {
  const { adder, sent } = client();
  adder.request("b", "k", "clear", undefined, { r: "all", quorum: "strict" });
  const { header, body } = sent[0] as Sent;
  assertEquals([header.quorum, header.durable], [3, 0]);
  assertEquals(header.flags, OperationFlag.bodyOnly | OperationFlag.strict);
  assertEquals(body, undefined);
});

Deno.test("moduleClient() sends keys that are neither text nor bytes by their place on the ring", () => {
  const { adder, sent } = client();
  const terms: [ErlangTerm, ErlangTerm][] = [
    [erlangAtom("add"), erlangTuple(2, 4)],
    ["add", 7],
    [encodeErlangTerm(1), "k"],
  ];
  for (const [bucket, key] of terms) {
    adder.request(bucket, key, "clear", undefined);
  }
  assertEquals(
    sent.map(({ key }) => key),
    terms.map(([bucket, key]) =>
      new Uint8Array([0xff, 0xff, ...chashKey(bucket, key)])
    ),
  );
});

Deno.test("moduleClient() rejects invalid calls without sending them", async () => {
  const { adder, sent } = client();
  const unknown = adder.request as (...args: unknown[]) => Promise<unknown>;
  assertEquals(await codeOf(unknown("b", "k", "toString")), "unknown_command");
  assertEquals(
    await codeOf(adder.request("", "k", "clear", undefined)),
    "invalid_key",
  );
  assertEquals(
    await codeOf(adder.request("b", "k", "clear", undefined, { w: 9 })),
    "invalid_quorum",
  );
  assertEquals(
    await codeOf(unknown("b", "k", "add", { by: () => {} })),
    "invalid_argument",
  );
  assertEquals(await codeOf(unknown("b", null, "clear")), "invalid_argument");
  assertEquals(sent, []);
});

Deno.test("moduleClient() rejects an unreadable reply, and errors of the carrier", async () => {
  const { adder, sent } = client();
  const broken = adder.request("b", "k", "add", { by: 1 });
  sent[0]?.target.operationDone({
    object: undefined,
    replies: [new Uint8Array([0xc1])],
    replicas: [],
  });
  assertEquals(await codeOf(broken), "protocol_error");
  const failed = adder.request("b", "k", "add", { by: 1 });
  sent[1]?.target.operationFailed(new WhorlError("overload", "Cannot"));
  assertEquals(await codeOf(failed), "overload");
});

Deno.test("moduleClient() stops waiting when its signal fires", async () => {
  const { adder, sent } = client();
  const aborted = { signal: AbortSignal.abort() };
  assertEquals(
    await codeOf(adder.request("b", "k", "clear", undefined, aborted)),
    "cancelled",
  );
  assertEquals(sent.length, 0);
  const controller = new AbortController();
  const request = adder.request("b", "k", "clear", undefined, {
    signal: controller.signal,
  });
  controller.abort();
  assertEquals(await codeOf(request), "cancelled");
  // Later answers are ignored.
  sent[0]?.target.operationFailed(new WhorlError("timeout", "Cannot"));
});

Deno.test("ModuleClient.failures() finds declared failures among the answers of replicas", () => {
  const { adder } = client();
  const error = new WhorlError("quorum_unavailable", "Cannot", {
    details: { answers: [{ code: "too_much" }, { code: "timeout" }, {}] },
  });
  const failures: "too_much"[] = adder.failures("add", error);
  assertEquals(failures, ["too_much"]);
  assertEquals(adder.failures("clear", error), []);
  assertEquals(adder.failures("add", new Error("other")), []);
});

Deno.test("moduleClient() sends a coverage query by its number and yields the decoded answers of vnodes", async () => {
  const sent: Uint8Array[] = [];
  const listing = moduleClient({
    ...MODULE,
    coverage: {
      other: command(),
      list: command<{ from: number }, readonly number[]>(),
    },
  }, () => ({
    submit(bytes, start, end, target) {
      sent.push(bytes.slice(start, end));
      const chunks = new ByteWriter();
      chunks.blob(replyOf([1, 2]));
      chunks.blob(replyOf([3]));
      const page = new ByteWriter();
      writePageStart(page, 1, 1_000, 1);
      writePiece(
        page,
        { part: 4, repeats: 2, partition: 9, node: "b" },
        chunks.view(),
      );
      writePageReport(page, {
        complete: true,
        ringVersion: 1,
        ringSize: 16,
        asked: [],
        answered: [],
        missing: [],
      });
      target.operationDone({
        object: page.copy(),
        replies: [],
        replicas: [],
      });
    },
  })).coverage("list", { from: 7 }, { n: 2, idleMs: 300 });
  const from = { partition: 9, node: "b", part: 4, repeats: 2 };
  assertEquals(await Array.fromAsync(listing), [
    { value: [1, 2], ...from },
    { value: [3], ...from },
  ]);
  assertEquals(listing.report?.complete, true);
  const header = emptyOperationHeader();
  const reader = new ByteReader(sent[0] as Uint8Array);
  readOperationHeader(reader, header);
  assertEquals(
    [header.kind, header.moduleId, header.command, header.n],
    [OperationKind.coverage, moduleIdOf("adder"), 1, 2],
  );
  assertEquals([reader.u32(), decodeMsgpack(reader.rest())], [
    300,
    { from: 7 },
  ]);
});

Deno.test("moduleClient() refuses a coverage query that the module does not declare", async () => {
  const { adder } = client();
  const coverage = (adder as unknown as {
    coverage(query: string, body: unknown): AsyncIterable<unknown>;
  }).coverage("toString", undefined);
  assertEquals(await codeOf(Array.fromAsync(coverage)), "unknown_command");
});
