/**
 * What the tests of hosts of coordinators share: an operation as a client sends
 * it, vnodes that answer by hand, and a caller that remembers what it was told.
 *
 * @module
 */
import { ByteWriter } from "../../base/byte_writer.ts";
import type { WhorlError } from "../../base/errors.ts";
import type { AnswerTarget } from "../../vnode/vnode_master_link.ts";
import {
  OperationKind,
  type OperationResult,
  writeOperationHeader,
  writePlaceKey,
} from "../operation_codec.ts";
import type { OperationTarget } from "../operation_target.ts";
import type { RequestRoutes } from "../request_routes.ts";

/** Number of the module that the operations of these tests are for. */
export const MODULE_ID = 7;

/** A read with R of N, or what `kind` says. */
export function operation(
  {
    kind = OperationKind.request,
    n = 3,
    quorum = 2,
    durable = kind === OperationKind.put ? quorum : 0,
    timeLeftMs = 1_000,
    place,
  }: {
    kind?: number;
    n?: number;
    quorum?: number;
    durable?: number;
    timeLeftMs?: number;
    /** Where it goes, instead of to the key `k` of the bucket `b`. */
    place?: Uint8Array;
  } = {},
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(64);
  writeOperationHeader(into, {
    kind,
    flags: 0,
    moduleId: MODULE_ID,
    command: 1,
    n,
    quorum,
    primaries: 0,
    durable,
    nodeConfirms: 0,
    timeLeftMs,
  });
  if (place === undefined) {
    into.u16(4);
    into.u16(1);
    into.rawText("bk");
  } else writePlaceKey(place, into);
  into.rawText("body");
  return into.copy();
}

/** Remembers what came of an operation. */
export class Caller implements OperationTarget {
  readonly results: OperationResult[] = [];
  readonly errors: WhorlError[] = [];

  operationDone(result: OperationResult): void {
    this.results.push(result);
  }

  operationFailed(error: WhorlError): void {
    this.errors.push(error);
  }

  /** Codes of the errors, and "done" for each result. */
  get outcome(): string[] {
    return [
      ...this.results.map(() => "done"),
      ...this.errors.map(({ code }) => code),
    ];
  }
}

/** Something that was sent on. */
export interface Sent {
  readonly to: string;
  readonly what: "vnode_request" | "operation";
  readonly correlation: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly target: AnswerTarget | undefined;
}

/** Routes that lead nowhere: what is sent is kept, and the test answers. */
export class KeptRoutes implements RequestRoutes {
  readonly sent: Sent[] = [];
  /** Refuses everything with this. */
  refusal: WhorlError | undefined = undefined;
  #writer = new ByteWriter(256);
  #begun: Omit<Sent, "bytes"> | undefined;

  beginVnodeRequest(
    node: string,
    _moduleId: number,
    _partition: number,
    target: AnswerTarget,
    correlation: number,
  ): ByteWriter | WhorlError {
    return this.#begin({
      to: node,
      what: "vnode_request",
      correlation,
      target,
    });
  }

  endVnodeRequest(): void {
    this.#end();
  }

  beginOperation(node: string, correlation: number): ByteWriter | WhorlError {
    return this.#begin({
      to: node,
      what: "operation",
      correlation,
      target: undefined,
    });
  }

  endOperation(): void {
    this.#end();
  }

  #begin(begun: Omit<Sent, "bytes">): ByteWriter | WhorlError {
    if (this.refusal !== undefined) return this.refusal;
    this.#begun = begun;
    this.#writer.clear();
    return this.#writer;
  }

  #end(): void {
    if (this.#begun === undefined) throw new Error("Nothing was begun");
    this.sent.push({ ...this.#begun, bytes: this.#writer.copy() });
    this.#begun = undefined;
  }
}
