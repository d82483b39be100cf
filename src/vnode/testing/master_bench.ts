/**
 * A vnode master at the bench: with its node's end, on a clock that is moved by hand.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { seededChance } from "../../base/chance.ts";
import { invariant } from "../../base/invariant.ts";
import { silentLog } from "../../environment/log.ts";
import type { Store } from "../../environment/storage.ts";
import { openMemoryStore } from "../../storage/memory_store.ts";
import { command, defineVnode } from "../define_vnode.ts";
import type { Vnode, VnodeCall, VnodeContext, VnodeModule } from "../vnode.ts";
import { VnodeMaster } from "../vnode_master.ts";
import { VnodeMasterLink } from "../vnode_master_link.ts";
import { moduleIdOf, writeVnodeRequestHeader } from "../vnode_wire.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../../wire/msgpack.ts";
import { readFailure } from "../../wire/failure.ts";

/** What its module can be asked. */
const masterCommands = { run: command<string, unknown>() };
/** Partitions of its ring. */
export const RING_SIZE = 8;

/** A call of its command. */
export type MasterCall = VnodeCall<typeof masterCommands["run"]>;

/** A clock that moves on while commands are handled. */
class BusyRuntime extends ManualRuntime {
  spentMs = 0;

  override now(): number {
    return super.now() + this.spentMs;
  }
}

/** A master with its node's end, as they stand on both sides of a port. */
export class MasterBench implements AsyncDisposable {
  readonly runtime = new BusyRuntime();
  readonly store: Store;
  /** Warnings of the log. */
  readonly warnings: string[] = [];
  readonly events: unknown[] = [];
  readonly failures: unknown[] = [];
  /** Partitions whose vnode was started, in order. */
  readonly started: number[] = [];
  /** What was handled, with the partition. */
  readonly handled: [number, string][] = [];
  readonly contexts = new Map<number, VnodeContext>();
  /** Correlation, then `reply` and the value, or the failure's code and message. */
  readonly answers: [number, string, unknown][] = [];
  readonly details: unknown[] = [];
  handler: (
    request: string,
    call: MasterCall,
    partition: number,
  ) => unknown = (request) => request;
  init: (partition: number) => unknown = () => {};
  readonly extra: Partial<Vnode<typeof masterCommands>> = {};
  readonly link: VnodeMasterLink;
  readonly master: VnodeMaster;
  #next = 1;

  constructor(store: Store = openMemoryStore("0123456789abcdef")) {
    this.store = store;
    const module = defineVnode({
      name: "test",
      commands: masterCommands,
      pools: { slow: { size: 1, queueMax: 1 } },
      init: async (partition, context) => {
        this.started.push(partition);
        this.contexts.set(partition, context);
        await this.init(partition);
        return {
          handleCommand: {
            run: (request, call) => {
              this.handled.push([partition, request]);
              return this.handler(request, call, partition) as string;
            },
          },
          fold: () => [],
          encodeHandoffItem: () => null,
          handleHandoffData: () => {},
          isEmpty: async () => await context.storage.count() === 0,
          delete: () => {},
          ...this.extra,
        };
      },
    });
    this.link = new VnodeMasterLink(
      this.runtime,
      (event) => {
        // Each start is told; `started` has them.
        if ((event as { type: string }).type === "vnode_started") return;
        this.events.push(event);
      },
    );
    this.master = new VnodeMaster({
      module: module as unknown as VnodeModule,
      node: "a@host",
      ringSizes: new Map([[0, RING_SIZE]]),
      store: this.store,
      runtime: this.runtime,
      wallClock: () => 1_000_000 + this.runtime.now(),
      chance: seededChance(1),
      secretBytes: (count) => new Uint8Array(count),
      log: {
        ...silentLog,
        warn: (message) => void this.warnings.push(message),
      },
      send: (message) => this.link.receive(message),
      onFailed: (error) => this.failures.push(error),
    });
  }

  async start(): Promise<this> {
    await this.master.start();
    this.link.attach({ send: (message) => this.master.receive(message) });
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
    if (type === FrameType.vnodeError) {
      const { code, message, details } = readFailure(body);
      this.answers.push([correlation, code, message]);
      this.details.push(details);
    } else {
      this.answers.push([
        correlation,
        "reply",
        body.length === 0 ? undefined : decodeMsgpack(body),
      ]);
    }
  }

  /** Sends a command; its correlation is how manieth it is. */
  send(
    partition: number,
    request: string,
    { flags = 0, timeLeftMs = 60_000, moduleId = moduleIdOf("test") } = {},
  ): void {
    const into = this.link.beginRequest(this, this.#next++, timeLeftMs);
    invariant(into instanceof ByteWriter, "the link takes it");
    writeVnodeRequestHeader(into, moduleId, partition, 0, flags, timeLeftMs);
    into.raw(encodeMsgpack(request));
    this.link.endRequest();
  }

  /** {@linkcode MasterBench.send}, and the answer that comes without time. */
  async ask(
    partition: number,
    request: string,
    options?: { flags?: number },
  ): Promise<[string, unknown]> {
    const correlation = this.#next;
    this.send(partition, request, options);
    await this.runtime.settle();
    const answer = this.answers.find(([of]) => of === correlation);
    invariant(answer !== undefined, `${request} is answered`);
    return [answer[1], answer[2]];
  }

  write(partition: number): void {
    this.store.partition(partition).write([{
      key: Uint8Array.of(1),
      value: Uint8Array.of(2),
    }], () => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.master.stop();
    this.link.close();
    assertEquals(this.runtime.pendingTimers, 0);
  }
}
