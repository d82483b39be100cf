/**
 * A vnode master at the bench for tests of handoffs, which ask its vnodes for
 * every part of a transfer.
 *
 * @module
 */
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { ByteReader } from "../../base/byte_reader.ts";
import type { ByteWriter } from "../../base/byte_writer.ts";
import { invariant } from "../../base/invariant.ts";
import type { Store } from "../../environment/storage.ts";
import { openMemoryStore } from "../../storage/memory_store.ts";
import { readFailure } from "../../wire/failure.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../../wire/msgpack.ts";
import {
  type HandoffDecision,
  HandoffMode,
  type HandoffOpening,
  readBatch,
  readBatchHead,
  writeHandoffFinish,
  writeHandoffNext,
  writeHandoffOpen,
  writeHandoffSwitch,
} from "../handoff_codec.ts";
import type { VnodeModule } from "../vnode.ts";
import type { VnodeMaster } from "../vnode_master.ts";
import type { AnswerTarget, VnodeMasterLink } from "../vnode_master_link.ts";
import { RequestFlag } from "../vnode_wire.ts";
import { AttachedMaster } from "./attached_master.ts";
import { type MapPut, storedTexts } from "./map_module.ts";

/** Where a test's transfers go unless it says otherwise. */
export const TARGET = { node: "b@host", partition: 3 };

/** A master that runs the map module. */
export class HandoffBench implements AsyncDisposable {
  readonly runtime: ManualRuntime;
  readonly node: string;
  readonly store: Store;
  /** What the link told, without what is told of every start. */
  readonly events: Record<string, unknown>[] = [];
  /** What the master fell with. */
  readonly failures: unknown[] = [];
  readonly #attached: AttachedMaster;

  constructor(
    module: VnodeModule,
    { runtime = new ManualRuntime(), node = "a@host" } = {},
  ) {
    this.runtime = runtime;
    this.node = node;
    this.store = openMemoryStore("0123456789abcdef");
    this.#attached = new AttachedMaster({
      module,
      runtime,
      store: this.store,
      node,
      onEvent: (event) => this.events.push(event),
      onFailed: (error) => this.failures.push(error),
    });
  }

  get link(): VnodeMasterLink {
    return this.#attached.link;
  }

  get master(): VnodeMaster {
    return this.#attached.master;
  }

  async start(): Promise<this> {
    await this.#attached.start();
    return this;
  }

  /** Asks a vnode; rejects with the failure it answers. */
  ask(
    partition: number,
    command: number,
    flags: number,
    write: (into: ByteWriter) => void,
    timeoutMs = 60_000,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let answers = 0;
      const target: AnswerTarget = {
        vnodeAnswer(type, _correlation, bytes, start, end) {
          invariant(++answers === 1, "a request is answered once");
          const body = bytes.slice(start, end);
          if (type === FrameType.vnodeError) reject(readFailure(body));
          else resolve(body);
        },
      };
      this.#attached.request(
        target,
        { partition, command, flags, timeLeftMs: timeoutMs },
        write,
      );
    });
  }

  /** Puts a text; resolves to it. */
  async put(
    partition: number,
    put: MapPut,
    { flags = 0, timeoutMs = 60_000 } = {},
  ): Promise<string> {
    const body = encodeMsgpack({ ...put });
    const answer = await this.ask(
      partition,
      0,
      flags,
      (into) => into.raw(body),
      timeoutMs,
    );
    return decodeMsgpack(answer) as string;
  }

  /** Asks for a part of a handoff. */
  handoff(
    partition: number,
    write: (into: ByteWriter) => void,
  ): Promise<Uint8Array> {
    return this.ask(partition, 0, RequestFlag.handoff, write);
  }

  /** Begins a transfer; answers how, whether commands are sent, and whether there is nothing. */
  async open(
    partition: number,
    transfer: number,
    opening: Partial<HandoffOpening> = {},
  ): Promise<number[]> {
    return [
      ...await this.handoff(partition, (into) =>
        writeHandoffOpen(into, {
          transfer,
          mode: HandoffMode.move,
          target: TARGET,
          keySpaces: null,
          ...opening,
        })),
    ];
  }

  /** The next batch, with its bytes and its entries as texts. */
  async next(partition: number, transfer: number, acked = 0, repeat = false) {
    const answer = await this.handoff(
      partition,
      (into) => writeHandoffNext(into, transfer, acked, repeat),
    );
    const head = readBatchHead(new ByteReader(answer));
    const batch = answer.slice(head.at);
    const decoder = new TextDecoder();
    return {
      ...head,
      batch,
      texts: readBatch(new ByteReader(batch)).entries.map(({ content }) =>
        decoder.decode(content)
      ),
    };
  }

  /** Has the vnode stand still; answers whether it does. */
  async switch(partition: number, transfer: number): Promise<boolean> {
    const [quiet] = await this.handoff(
      partition,
      (into) => writeHandoffSwitch(into, transfer),
    );
    return quiet === 1;
  }

  async finish(
    partition: number,
    transfer: number,
    outcome: number,
    decided?: HandoffDecision,
  ): Promise<void> {
    await this.handoff(
      partition,
      (into) =>
        writeHandoffFinish(into, transfer, outcome, TARGET.node, decided),
    );
  }

  /** What is stored of a partition. */
  texts(partition: number): Promise<Record<string, string>> {
    return storedTexts(this.store.partition(partition));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#attached[Symbol.asyncDispose]();
  }
}
