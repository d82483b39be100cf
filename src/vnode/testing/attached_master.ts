/**
 * A vnode master attached to its node's end, as the two stand on both sides of
 * a port, with the clock and the chance of a test.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";
import type { ByteWriter } from "../../base/byte_writer.ts";
import { seededChance } from "../../base/chance.ts";
import { WhorlError } from "../../base/errors.ts";
import { type Log, silentLog } from "../../environment/log.ts";
import type { Store } from "../../environment/storage.ts";
import type { VnodeModule } from "../vnode.ts";
import { VnodeMaster } from "../vnode_master.ts";
import { type AnswerTarget, VnodeMasterLink } from "../vnode_master_link.ts";
import { moduleIdOf, writeVnodeRequestHeader } from "../vnode_wire.ts";

/** Partitions of the ring of an {@linkcode AttachedMaster}. */
export const RING_SIZE = 8;

/** What an {@linkcode AttachedMaster} is made of. */
export interface AttachedMasterOptions {
  readonly module: VnodeModule;
  readonly runtime: Runtime;
  readonly store: Store;
  /** Name of its node. @default {"a@host"} */
  readonly node?: string;
  /** @default {silentLog} */
  readonly log?: Log;
  /** Called with each event that the link passes on. @default {nothing} */
  readonly onEvent?: (event: Record<string, unknown>) => void;
  /** Called with the error that the master fails with. */
  readonly onFailed: (error: unknown) => void;
}

/** A request to a vnode of an {@linkcode AttachedMaster}. */
export interface VnodeRequest {
  /** @default {that of the master's module} */
  readonly moduleId?: number;
  readonly partition: number;
  /** @default {0} */
  readonly command?: number;
  /** @default {0} */
  readonly flags?: number;
  readonly timeLeftMs: number;
}

/** A master and the link to it. */
export class AttachedMaster implements AsyncDisposable {
  readonly link: VnodeMasterLink;
  readonly master: VnodeMaster;
  readonly #moduleId: number;
  #correlation = 0;

  constructor(
    {
      module,
      runtime,
      store,
      node = "a@host",
      log = silentLog,
      onEvent,
      onFailed,
    }: AttachedMasterOptions,
  ) {
    this.#moduleId = moduleIdOf(module.name);
    this.link = new VnodeMasterLink(
      runtime,
      (event) => onEvent?.(event as Record<string, unknown>),
    );
    this.master = new VnodeMaster({
      module,
      node,
      ringSizes: new Map([[0, RING_SIZE]]),
      store,
      runtime,
      wallClock: () => 1_000_000 + runtime.now(),
      chance: seededChance(1),
      secretBytes: (count) => new Uint8Array(count),
      log,
      send: (message) => this.link.receive(message),
      onFailed,
    });
  }

  async start(): Promise<void> {
    await this.master.start();
    this.link.attach({ send: (message) => this.master.receive(message) });
  }

  /**
   * Sends a request whose body `write` appends.
   *
   * @returns Its correlation: 1 for the first request, then 2.
   * @throws {WhorlError} What the link refuses it with.
   */
  request(
    answers: AnswerTarget,
    {
      moduleId = this.#moduleId,
      partition,
      command = 0,
      flags = 0,
      timeLeftMs,
    }: VnodeRequest,
    write: (into: ByteWriter) => void,
  ): number {
    const correlation = ++this.#correlation;
    const into = this.link.beginRequest(answers, correlation, timeLeftMs);
    if (into instanceof WhorlError) throw into;
    writeVnodeRequestHeader(
      into,
      moduleId,
      partition,
      command,
      flags,
      timeLeftMs,
    );
    write(into);
    this.link.endRequest();
    return correlation;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.master.stop();
    this.link.close();
  }
}
