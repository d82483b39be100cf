/**
 * Coverage queries from the node's end of a master to the handlers of vnodes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";
import {
  CoverageAction,
  readCoverageBatch,
  writeCoverageAction,
  writeCoverageOpen,
} from "./coverage_codec.ts";
import { command, defineVnode } from "./define_vnode.ts";
import type { KeySpaces, VnodeModule } from "./vnode.ts";
import { AttachedMaster } from "./testing/attached_master.ts";
import type { VnodeMaster } from "./vnode_master.ts";
import { RequestFlag } from "./vnode_wire.ts";

const QUERIES = { list: command<string, unknown>() };
type Handler = (
  request: string,
  keySpaces: KeySpaces,
  signal: AbortSignal,
) => Iterable<unknown> | AsyncIterable<unknown>;

/** What a vnode answered: its chunks and whether that was all, or a failure's code. */
type Answer = { chunks: unknown[]; ended: boolean } | string;

/** A master whose module has one coverage query, and its answers. */
class Bench implements AsyncDisposable {
  readonly runtime = new ManualRuntime();
  readonly store = openMemoryStore("0123456789abcdef");
  readonly #attached: AttachedMaster;
  handler: Handler = () => [];
  started = 0;
  #answers = new Map<number, PromiseWithResolvers<Answer>>();

  constructor() {
    const module = defineVnode({
      name: "test",
      commands: { echo: command<string, string>() },
      coverage: QUERIES,
      init: () => {
        this.started++;
        return {
          handleCommand: { echo: (text) => text },
          handleCoverage: {
            list: (...args: Parameters<Handler>) => this.handler(...args),
          },
          fold: () => [],
          encodeHandoffItem: () => null,
          handleHandoffData: () => {},
          isEmpty: () => true,
          delete: () => {},
        };
      },
    });
    this.#attached = new AttachedMaster({
      module: module as unknown as VnodeModule,
      runtime: this.runtime,
      store: this.store,
      onFailed: (error) => {
        throw error;
      },
    });
  }

  get master(): VnodeMaster {
    return this.#attached.master;
  }

  async start(): Promise<this> {
    await this.#attached.start();
    return this;
  }

  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const body = bytes.slice(start, end);
    const answer = type === FrameType.vnodeError
      ? readFailure(body).code
      : body.length === 0
      ? "nothing"
      : decoded(body);
    this.#answers.get(correlation)?.resolve(answer);
  }

  /** Sends a part of a coverage query to the vnode of partition 3. */
  ask(write: (into: ByteWriter) => void, query = 0): Promise<Answer> {
    const correlation = this.#attached.request(this, {
      partition: 3,
      command: query,
      flags: RequestFlag.coverage,
      timeLeftMs: 1_000,
    }, write);
    const answer = Promise.withResolvers<Answer>();
    this.#answers.set(correlation, answer);
    return answer.promise;
  }

  open(
    stream: number,
    keySpaces: readonly number[] | null,
    text = "",
    query = 0,
  ): Promise<Answer> {
    return this.ask((into) => {
      writeCoverageOpen(into, stream, 10_000, keySpaces);
      into.raw(encodeMsgpack(text));
    }, query);
  }

  more(stream: number): Promise<Answer> {
    return this.ask((into) =>
      writeCoverageAction(into, CoverageAction.more, stream)
    );
  }

  cancel(stream: number): Promise<Answer> {
    return this.ask((into) =>
      writeCoverageAction(into, CoverageAction.cancel, stream)
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#attached[Symbol.asyncDispose]();
  }
}

function decoded(body: Uint8Array): Answer {
  const { ended, chunks } = readCoverageBatch(new ByteReader(body));
  return { ended, chunks: chunks.map((chunk) => decodeMsgpack(chunk)) };
}

Deno.test("a vnode gets a coverage query with its key spaces, and answers with chunks", async () => {
  await using bench = await new Bench().start();
  const seen: [string, number[] | null][] = [];
  bench.handler = (request, keySpaces) => {
    seen.push([request, keySpaces === null ? null : [...keySpaces]]);
    return [["a", "b"], ["c"]];
  };
  assertEquals(await bench.open(1, [2, 3], "users"), {
    ended: true,
    chunks: [["a", "b"], ["c"]],
  });
  await bench.open(2, null, "all");
  assertEquals(seen, [["users", [2, 3]], ["all", null]]);
});

Deno.test("a vnode sends more chunks of a coverage query on request, and stops when told to", async () => {
  await using bench = await new Bench().start();
  const { promise: stopped, resolve } = Promise.withResolvers<unknown>();
  bench.handler = function* (_request, _keySpaces, signal) {
    signal.addEventListener("abort", () => resolve(signal.reason));
    for (let i = 0;; i++) yield [i, "x".repeat(40_000)];
  };
  const first = await bench.open(7, null) as Exclude<Answer, string>;
  const second = await bench.more(7) as Exclude<Answer, string>;
  assertEquals([first.ended, second.ended], [false, false]);
  const numbers = [...first.chunks, ...second.chunks].map((chunk) =>
    (chunk as [number])[0]
  );
  assertEquals(numbers, numbers.map((_, i) => i));
  assertEquals(await bench.cancel(7), "nothing");
  assert(await stopped);
  assertEquals(await bench.more(7), "vnode_crashed");
});

Deno.test("a vnode refuses a coverage query that its module does not declare, and continues", async () => {
  await using bench = await new Bench().start();
  assertEquals(await bench.open(1, null, "", 1), "unknown_command");
  assertEquals(await bench.ask((into) => into.u8(9)), "protocol_error");
  assertEquals(bench.started, 1);
});

Deno.test("a vnode whose coverage handler throws answers vnode_error and is restarted", async () => {
  await using bench = await new Bench().start();
  bench.handler = function* () {
    yield 1;
    throw new Error("It broke");
  };
  assertEquals(await bench.open(1, null), "vnode_error");
  bench.handler = () => ["again"];
  const answer = bench.open(2, null);
  // It waits for the vnode, which is started again after a pause.
  await bench.runtime.advance(100);
  assertEquals(await answer, { ended: true, chunks: ["again"] });
  assertEquals(bench.started, 2);
});

Deno.test("a vnode that ends stops its coverage handlers, and answers their callers", async () => {
  await using bench = await new Bench().start();
  const { promise: began, resolve: begin } = Promise.withResolvers<
    AbortSignal
  >();
  bench.handler = async function* (_request, _keySpaces, signal) {
    begin(signal);
    await new Promise(() => {});
    yield 1;
  };
  const answer = bench.open(1, null);
  const signal = await began;
  const stopped = bench.master.stop();
  assertEquals(await answer, "vnode_crashed");
  assertEquals(signal.aborted, true);
  await stopped;
});

Deno.test("a vnode answers timeout for a coverage handler that is silent", async () => {
  await using bench = await new Bench().start();
  bench.handler = async function* () {
    await new Promise(() => {});
    yield 1;
  };
  const answer = bench.open(1, null);
  await bench.runtime.advance(3_000);
  assertEquals(await answer, "timeout");
});
