import { assertEquals, assertRejects } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  coverageLater,
  type CoverageOptions,
  coverageQuery,
} from "./coverage_client.ts";
import {
  writePageReport,
  writePageStart,
  writePiece,
} from "./coverage_page_codec.ts";
import type { CoverageReport } from "./coverage_report.ts";
import {
  emptyOperationHeader,
  OperationFlag,
  type OperationHeader,
  OperationKind,
  readOperationHeader,
} from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";

const QUERY = 77;
const REPORT: CoverageReport = {
  complete: true,
  ringVersion: 3,
  ringSize: 8,
  asked: [],
  answered: [0],
  missing: [],
};

interface Sent {
  readonly header: OperationHeader;
  /** Number of the query in a follow-up. */
  readonly query: number | undefined;
  readonly target: OperationTarget;
}

/** A carrier that keeps operations for the test to answer. */
class Carrier {
  readonly sent: Sent[] = [];
  refusal: WhorlError | undefined;
  #arrived: (() => void)[] = [];

  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    if (this.refusal !== undefined) throw this.refusal;
    const reader = new ByteReader(bytes.slice(start, end));
    const header = emptyOperationHeader();
    readOperationHeader(reader, header);
    const query = header.kind === OperationKind.coverage
      ? undefined
      : reader.u53();
    this.sent.push({ header, query, target });
    for (const arrived of this.#arrived.splice(0)) arrived();
  }

  /** The next operation. */
  async next(): Promise<Sent> {
    while (this.sent.length === 0) {
      await new Promise<void>((resolve) => this.#arrived.push(resolve));
    }
    return this.sent.shift() as Sent;
  }

  /** Kinds of the operations that wait, in order. */
  get kinds(): number[] {
    return this.sent.map(({ header }) => header.kind);
  }
}

function page({ target }: Sent, words: readonly string[], last = false): void {
  const into = new ByteWriter();
  writePageStart(into, QUERY, 4_000, words.length);
  words.forEach((word, part) => {
    const chunks = new ByteWriter();
    for (const letter of word) {
      chunks.u32(1);
      chunks.rawText(letter);
    }
    writePiece(
      into,
      { part, repeats: part === 1 ? 0 : undefined, partition: 5, node: "a" },
      chunks.view(),
    );
  });
  if (last) writePageReport(into, REPORT);
  target.operationDone({ object: into.copy(), replies: [], replicas: [] });
}

function ask(carrier: Carrier, options?: CoverageOptions) {
  return coverageQuery(
    () => carrier,
    () => ({
      moduleId: 9,
      query: 2,
      writeBody: (into) => into.u8(1),
      options,
    }),
    () => ({ chunks, part, repeats }) =>
      chunks.map((chunk) =>
        `${part}${repeats ?? ""}${new TextDecoder().decode(chunk)}`
      ),
  );
}

Deno.test("coverageQuery() requests nothing before it is iterated, and a page when the previous one was consumed", async () => {
  const carrier = new Carrier();
  const query = ask(carrier, { n: 2, mode: "allup", timeoutMs: 5_000 });
  assertEquals(carrier.sent, []);
  const iterator = query[Symbol.asyncIterator]();
  const first = iterator.next();
  const begin = await carrier.next();
  const { kind, n, quorum, flags, timeLeftMs, command } = begin.header;
  assertEquals(
    { kind, n, quorum, flags, timeLeftMs, command },
    {
      kind: OperationKind.coverage,
      n: 2,
      quorum: 1,
      flags: OperationFlag.allUp,
      timeLeftMs: 5_000,
      command: 2,
    },
  );
  page(begin, []);
  const more = await carrier.next();
  assertEquals([more.header.kind, more.query, more.header.timeLeftMs], [
    OperationKind.coverageMore,
    QUERY,
    4_000,
  ]);
  page(more, ["ab", "c"]);
  assertEquals((await first).value, "0a");
  assertEquals((await iterator.next()).value, "0b");
  assertEquals((await iterator.next()).value, "10c");
  assertEquals(carrier.sent, []);
  assertEquals(query.report, undefined);
  const last = iterator.next();
  page(await carrier.next(), ["d"], true);
  assertEquals((await last).value, "0d");
  assertEquals((await iterator.next()).done, true);
  assertEquals(query.report, REPORT);
  assertEquals(carrier.sent, []);
});

Deno.test("coverageQuery() cancels the query when its caller stops iterating", async () => {
  const carrier = new Carrier();
  const leave = (async () => {
    for await (const _ of ask(carrier)) break;
  })();
  page(await carrier.next(), ["ab"]);
  await leave;
  const cancel = await carrier.next();
  assertEquals([cancel.header.kind, cancel.query], [
    OperationKind.coverageCancel,
    QUERY,
  ]);
  assertEquals(carrier.sent, []);
});

Deno.test("coverageQuery() cancels when its signal fires, even if the number of the query arrives later", async () => {
  const carrier = new Carrier();
  const abort = new AbortController();
  const early = assertRejects(
    () => Array.fromAsync(ask(carrier, { signal: abort.signal })),
    WhorlError,
  );
  const begin = await carrier.next();
  abort.abort();
  assertEquals((await early).code, "cancelled");
  assertEquals(carrier.sent, []);
  page(begin, []);
  assertEquals(carrier.kinds, [OperationKind.coverageCancel]);
  carrier.sent.length = 0;
  const again = new AbortController();
  const late = assertRejects(
    () => Array.fromAsync(ask(carrier, { signal: again.signal })),
    WhorlError,
  );
  page(await carrier.next(), []);
  await carrier.next();
  again.abort();
  assertEquals((await late).code, "cancelled");
  assertEquals(carrier.kinds, [OperationKind.coverageCancel]);
});

Deno.test("coverageQuery() throws the coordinator's error, and keeps its report", async () => {
  const carrier = new Carrier();
  const query = ask(carrier);
  const failed = assertRejects(() => Array.fromAsync(query), WhorlError);
  page(await carrier.next(), ["a"]);
  const { target } = await carrier.next();
  const coverage = { ...REPORT, complete: false };
  target.operationFailed(
    new WhorlError("timeout", "Too late", { details: { coverage } }),
  );
  assertEquals((await failed).code, "timeout");
  assertEquals(query.report, coverage);
});

Deno.test("coverageQuery() sends nothing more to a coordinator that is lost", async () => {
  const carrier = new Carrier();
  const failed = assertRejects(
    () => Array.fromAsync(ask(carrier)),
    WhorlError,
  );
  page(await carrier.next(), ["a"]);
  const { target } = await carrier.next();
  target.operationFailed(new WhorlError("coordinator_lost", "It was killed"));
  assertEquals((await failed).code, "coordinator_lost");
  assertEquals(carrier.sent, []);
});

Deno.test("coverageQuery() throws what the carrier throws, and needs no carrier to cancel", async () => {
  const carrier = new Carrier();
  carrier.refusal = new WhorlError("closed", "The node is stopping");
  const refused = await assertRejects(
    () => Array.fromAsync(ask(carrier)),
    WhorlError,
  );
  assertEquals(refused.code, "closed");
  carrier.refusal = undefined;
  const failed = assertRejects(() => Array.fromAsync(ask(carrier)), WhorlError);
  page(await carrier.next(), ["a"]);
  const { target } = await carrier.next();
  carrier.refusal = new WhorlError("closed", "The node is stopping");
  target.operationFailed(new WhorlError("connection_closed", "It broke"));
  assertEquals((await failed).code, "connection_closed");
});

Deno.test("coverageQuery() refuses an invalid page", async () => {
  for (
    const object of [undefined, new Uint8Array(5), new Uint8Array(14).fill(9)]
  ) {
    const carrier = new Carrier();
    const failed = assertRejects(
      () => Array.fromAsync(ask(carrier)),
      WhorlError,
    );
    const { target } = await carrier.next();
    target.operationDone({ object, replies: [], replicas: [] });
    assertEquals((await failed).code, "protocol_error");
  }
});

Deno.test("coverageLater() opens a query for each iteration, and passes on the report", async () => {
  const carrier = new Carrier();
  let opened = 0;
  const query = coverageLater(() => {
    opened++;
    return Promise.resolve(ask(carrier));
  });
  for (let round = 1; round <= 2; round++) {
    const listed = Array.fromAsync(query);
    page(await carrier.next(), ["a"], true);
    assertEquals(await listed, ["0a"]);
    assertEquals([opened, query.report], [round, REPORT]);
  }
});
