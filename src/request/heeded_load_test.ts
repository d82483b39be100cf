/**
 * Vnodes under more load than they can serve, from clients that respect what
 * they are told: what vnodes report (`mailbox_bounds.ts`), coordinators
 * remember (`told_overloads.ts`) and clients respect (`heeded_overloads.ts`),
 * together.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { seededChance } from "../base/chance.ts";
import { WhorlError } from "../base/errors.ts";
import {
  at,
  LoadedThread,
  type Sender,
  VNODES,
} from "../vnode/testing/loaded_thread.ts";
import { HeededOverloads } from "./heeded_overloads.ts";
import {
  emptyOperationHeader,
  OperationKind,
  writeOperationHeader,
  writePlaceKey,
} from "./operation_codec.ts";
import { demandOf } from "./shared_fate.ts";
import { ToldOverloads } from "./told_overloads.ts";

const MODULE_ID = 7;
const NODES = 3;

/** One operation for each vnode of a ring of that size. */
const OPERATIONS = Array.from({ length: VNODES }, (_, vnode) => {
  const into = new ByteWriter();
  writeOperationHeader(into, {
    ...emptyOperationHeader(),
    kind: OperationKind.request,
    moduleId: MODULE_ID,
    n: 1,
    quorum: 1,
  });
  // The first owner of a place is the partition after the one it falls into.
  const place = new Uint8Array(20);
  place[0] = (vnode + VNODES - 1) % VNODES * (256 / VNODES);
  writePlaceKey(place, into);
  return into.copy();
});

/** Clients that take turns, each connected to one of three nodes. */
class Clients implements Sender {
  readonly #clients: HeededOverloads[];
  readonly #nodes = Array.from({ length: NODES }, () => new ToldOverloads());
  /** Which client sent a command, by the command's number. */
  readonly #sentBy: number[] = [];
  #next = 0;
  /** Operations, and how many of them clients sent. */
  begun = 0;
  asked = 0;

  constructor(count: number) {
    const chance = seededChance(count);
    this.#clients = Array.from(
      { length: count },
      () => new HeededOverloads(() => chance.next()),
    );
  }

  sends(number: number, vnode: number, nowMs: number): boolean {
    const by = this.#next++ % this.#clients.length;
    const client = this.#clients[by] as HeededOverloads;
    const operation = OPERATIONS[vnode] as Uint8Array;
    this.begun++;
    const refusal = client.refusal(
      this.begun,
      operation,
      0,
      operation.length,
      nowMs,
    );
    if (refusal !== undefined) return false;
    this.asked++;
    const told = this.#nodes[by % NODES] as ToldOverloads;
    const placed = { node: "a", moduleId: MODULE_ID, vnode };
    const againAfterMs = told.leftMs(placed, nowMs);
    if (againAfterMs > 0) {
      this.#hear(by, this.begun, vnode, againAfterMs, nowMs);
      return false;
    }
    this.#sentBy[number] = this.begun * this.#clients.length + by;
    return true;
  }

  failed(
    number: number,
    vnode: number,
    error: WhorlError,
    nowMs: number,
  ): void {
    const sent = this.#sentBy[number] as number;
    const by = sent % this.#clients.length;
    const placed = { node: "a", moduleId: MODULE_ID, vnode };
    (this.#nodes[by % NODES] as ToldOverloads).hear(placed, error, nowMs);
    const { againAfterMs } = error.details;
    const begun = (sent - by) / this.#clients.length;
    this.#hear(by, begun, vnode, againAfterMs, nowMs);
  }

  #hear(
    by: number,
    begun: number,
    keyPartition: number,
    againAfterMs: unknown,
    nowMs: number,
  ): void {
    const details = { againAfterMs, keyPartition, ringSize: VNODES };
    (this.#clients[by] as HeededOverloads).hear(
      begun,
      demandOf(OPERATIONS[keyPartition] as Uint8Array, 0),
      new WhorlError("overload", "It is not done", { details }),
      nowMs,
    );
  }
}

for (
  const [count, askedShareMax] of [[1, 0.2], [12, 0.25], [100, 0.5]] as const
) {
  Deno.test(`${count} clients that respect what they are told are served as much as others, and seldom ask in vain`, async () => {
    const clients = new Clients(count);
    const thread = new LoadedThread(4, 5_000, clients);
    await thread.start();
    thread.offer(0.5, 2_000);
    thread.offer(10, 3_000);
    const { begun, asked } = clients;
    const { servedShare, servedMs } = thread.offer(10, 10_000);
    const askedShare = (clients.asked - asked) / (clients.begun - begun);
    assert(servedShare > 0.95, `${servedShare}`);
    assert(askedShare < askedShareMax, `${askedShare}`);
    assert(at(servedMs, 0.5) < 300);
    assert(at(servedMs, 0.99) < 800);

    // Soon after the load nobody is refused any more.
    thread.offer(0.5, 1_500);
    const before = thread.spared;
    const { refusedMs } = thread.offer(0.5, 3_000);
    assertEquals([thread.spared - before, refusedMs.length], [0, 0]);
    thread.drain();
  });
}
