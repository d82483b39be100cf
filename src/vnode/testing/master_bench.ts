/**
 * A vnode master at the bench: attached to its node's end, on a clock that is moved by hand.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { invariant } from "../../base/invariant.ts";
import { silentLog } from "../../environment/log.ts";
import type { Store } from "../../environment/storage.ts";
import { openMemoryStore } from "../../storage/memory_store.ts";
import { command, defineVnode } from "../define_vnode.ts";
import type { Vnode, VnodeCall, VnodeContext, VnodeModule } from "../vnode.ts";
import type { VnodeMaster } from "../vnode_master.ts";
import type { VnodeMasterLink } from "../vnode_master_link.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../../wire/msgpack.ts";
import { readFailure } from "../../wire/failure.ts";
import { AttachedMaster, type VnodeRequest } from "./attached_master.ts";

/** What its module can be asked. */
const masterCommands = { run: command<string, unknown>() };

/** A call of its command. */
export type MasterCall = VnodeCall<typeof masterCommands["run"]>;

/** A clock that moves on while commands are handled. */
class BusyRuntime extends ManualRuntime {
  spentMs = 0;

  override now(): number {
    return super.now() + this.spentMs;
  }
}

/** A master whose module has one command, and every answer it gives. */
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
  readonly #attached: AttachedMaster;

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
    this.#attached = new AttachedMaster({
      module: module as unknown as VnodeModule,
      runtime: this.runtime,
      store,
      log: {
        ...silentLog,
        warn: (message) => void this.warnings.push(message),
      },
      onEvent: (event) => {
        // Every start is an event; `started` has them.
        if (event.type !== "vnode_started") this.events.push(event);
      },
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

  /** Sends a command; returns its correlation, which counts from 1. */
  send(
    partition: number,
    request: string,
    options: Partial<VnodeRequest> = {},
  ): number {
    return this.#attached.request(
      this,
      { timeLeftMs: 60_000, ...options, partition },
      (into) => into.raw(encodeMsgpack(request)),
    );
  }

  /** {@linkcode MasterBench.send}, and the answer that comes without time passing. */
  async ask(
    partition: number,
    request: string,
    options?: { flags?: number },
  ): Promise<[string, unknown]> {
    const correlation = this.send(partition, request, options);
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
    await this.#attached[Symbol.asyncDispose]();
    assertEquals(this.runtime.pendingTimers, 0);
  }
}
