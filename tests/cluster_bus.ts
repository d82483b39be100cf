/**
 * Several cluster processes in one thread, on a clock that tests turn and a bus
 * that can lose, repeat and reorder what they send. Nothing here waits for real
 * time, and the same seed gives the same run.
 *
 * @module
 */
import { type Chance, seededChance } from "../src/base/chance.ts";
import { WhorlError } from "../src/base/errors.ts";
import { ClusterProcess } from "../src/cluster/cluster_process.ts";
import type {
  ClusterChange,
  ClusterOptions,
} from "../src/cluster/cluster_world.ts";
import { FrameType } from "../src/wire/frame_type.ts";
import { silentLog } from "../src/environment/log.ts";
import type { Runtime, TimerHandle } from "../supervisors/runtime.ts";

/** How the bus treats messages. */
export interface BusFaults {
  /** Probability that a message is lost. Requests are not: on a real link they are lost with the link, which is told. @default {0} */
  loss?: number;
  /** Probability that it arrives twice. @default {0} */
  repeat?: number;
  /** Longest way of a message, in milliseconds; each takes its own time, so they overtake each other. @default {5} */
  delayMsMax?: number;
}

/** One node on the bus. */
export interface BusNode {
  readonly name: string;
  readonly cluster: ClusterProcess;
  /** All it has told its subscriber. */
  readonly changes: ClusterChange[];
  /** Partitions in which it holds data. */
  readonly data: Set<number>;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

interface Running extends BusNode {
  readonly peers: Set<string>;
  readonly links: Set<string>;
  readonly incarnation: number;
}

/** A cluster under test. */
export class ClusterBus {
  now = 0;
  faults: BusFaults;
  /** Frames sent so far, by type. */
  readonly sent: Map<number, number> = new Map();
  /** Rings on the disks, by node; they survive a crash. */
  readonly disks: Map<string, Uint8Array> = new Map();
  /** Nodes that are not ready to exit. */
  readonly staying: Set<string> = new Set();
  /** Time one store takes, in milliseconds. */
  storeMs = 1;
  readonly #chance: Chance;
  readonly #nodes = new Map<string, Running>();
  readonly #incarnations = new Map<string, number>();
  readonly #cut = new Set<string>();
  /** Who asked whom for its ring: that link stays until it breaks, or one side has had enough of the other. */
  readonly #met = new Set<string>();
  #timers: Timer[] = [];
  #order = 0;

  constructor(seed: number, faults: BusFaults = {}) {
    this.#chance = seededChance(seed);
    this.faults = faults;
  }

  /** Starts `name`, from its disk if it ran before. */
  async start(
    name: string,
    options: Partial<ClusterOptions> = {},
  ): Promise<BusNode> {
    const incarnation = (this.#incarnations.get(name) ?? 0) + 1;
    this.#incarnations.set(name, incarnation);
    const changes: ClusterChange[] = [];
    const data = new Set<number>();
    const peers = new Set<string>();
    const links = new Set<string>();
    const isCurrent = () => this.#nodes.get(name)?.incarnation === incarnation;
    const cluster = new ClusterProcess({
      node: { name, address: `${name}:1`, nodeId: `id-${name}` },
      incarnation,
      clusterName: "default",
      ringSize: 64,
      storedRing: this.disks.get(name) ?? null,
      ...options,
    }, {
      runtime: this.#runtime(),
      wallClock: () => this.now,
      chance: this.#chance.fork(name),
      log: silentLog,
      newSeed: () =>
        this.#chance.below(0x1_0000_0000).toString(16).padStart(16, "0"),
      send: (to, type, payload) =>
        isCurrent() && this.#send(name, to, type, payload),
      peersChanged: (wanted) => {
        for (const peer of peers) {
          if (!wanted.has(peer)) this.#met.delete(pairOf(name, peer));
        }
        peers.clear();
        for (const peer of wanted.keys()) peers.add(peer);
        this.#after(1, () => this.#connect());
      },
      storeRing: (bytes) =>
        new Promise((resolve) =>
          this.#after(this.storeMs, () => {
            if (!isCurrent()) return;
            this.disks.set(name, bytes);
            resolve();
          })
        ),
      storeFailed: (error) => {
        throw error;
      },
      readyToExit: () => !this.staying.has(name),
      fetchJoinOffer: (address) => this.#fetchJoinOffer(name, address),
    });
    const node = { name, cluster, changes, data, peers, links, incarnation };
    this.#nodes.set(name, node);
    cluster.subscribe((change) => {
      changes.push(change);
      // Its process ends in good order; what it stored is for its next start.
      if (change.type === "left") {
        this.#after(1, () => isCurrent() && this.kill(name));
      }
      if (change.type !== "transfers_pending") return;
      const empty = change.transfers
        .map((transfer) => transfer.partition)
        .filter((partition) => !data.has(partition));
      // A vnode manager answers later, not inside the notice.
      this.#after(1, () => {
        if (isCurrent()) cluster.transferComplete(empty, null, []);
      });
    });
    await this.during(cluster.start());
    return node;
  }

  /** Whether `name` runs: it was not killed and has not left its cluster. */
  runs(name: string): boolean {
    return this.#nodes.has(name);
  }

  /** Ends `name` at once, as a crash does; what was not on its disk is gone. */
  kill(name: string): void {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    this.#nodes.delete(name);
    node.cluster.stop();
    for (const peer of node.links) this.#break(peer, name);
  }

  /** Ends all nodes. */
  stop(): void {
    for (const name of [...this.#nodes.keys()]) this.kill(name);
    this.#timers = [];
  }

  /** Cuts or restores what is between two nodes. */
  setCut(a: string, b: string, cut: boolean): void {
    const pair = pairOf(a, b);
    if (cut) {
      this.#cut.add(pair);
      this.#break(a, b);
      this.#break(b, a);
    } else {
      this.#cut.delete(pair);
      this.#after(1, () => this.#connect());
    }
  }

  /** Turns the clock until `promise` is settled, and gives what it gave. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    promise.then(settle, settle);
    await drain();
    while (!settled) {
      if (!await this.#turn(Infinity)) {
        throw new Error("Nothing is left to happen and the promise is pending");
      }
    }
    return promise;
  }

  /** Turns the clock by `ms` milliseconds. */
  async run(ms: number): Promise<void> {
    const until = this.now + ms;
    // What was begun just now begins now, not after the first timer.
    await drain();
    while (await this.#turn(until)) { /* one timer at a time */ }
    this.now = until;
  }

  /** Turns the clock until `holds`, and gives the milliseconds that took, or throws after `withinMs`. */
  async until(holds: () => boolean, withinMs: number): Promise<number> {
    const start = this.now;
    await drain();
    while (!holds()) {
      if (!await this.#turn(start + withinMs)) {
        throw new Error(`It did not come to pass within ${withinMs} ms`);
      }
    }
    return this.now - start;
  }

  #runtime(): Runtime {
    return {
      now: () => this.now,
      setTimer: (afterMs, callback) => this.#after(afterMs, callback),
      clearTimer: (timer) => {
        const index = this.#timers.indexOf(timer as Timer);
        if (index >= 0) this.#timers.splice(index, 1);
      },
      random: () => this.#chance.next(),
      defer: (callback) => queueMicrotask(callback),
    };
  }

  #after(ms: number, act: () => void): TimerHandle {
    const timer = { at: this.now + ms, order: this.#order++, act };
    this.#timers.push(timer);
    return timer;
  }

  async #turn(until: number): Promise<boolean> {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (
        next === undefined || timer.at < next.at ||
        timer.at === next.at && timer.order < next.order
      ) next = timer;
    }
    if (next === undefined || next.at > until) return false;
    this.#timers.splice(this.#timers.indexOf(next), 1);
    this.now = next.at;
    next.act();
    await drain();
    return true;
  }

  #send(from: string, to: string, type: number, payload: Uint8Array): boolean {
    if (!this.#nodes.get(from)?.links.has(to)) return false;
    this.sent.set(type, (this.sent.get(type) ?? 0) + 1);
    const bytes = payload.slice();
    const { loss = 0, repeat = 0, delayMsMax = 5 } = this.faults;
    const isRequest = type === FrameType.joinRequest ||
      type === FrameType.joinReply;
    if (!isRequest && this.#chance.chance(loss)) return true;
    const copies = this.#chance.chance(repeat) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#after(this.#chance.next() * delayMsMax, () => {
        const receiver = this.#nodes.get(to);
        if (receiver?.links.has(from)) {
          receiver.cluster.handleFrame(from, type, bytes);
        }
      });
    }
    return true;
  }

  #fetchJoinOffer(from: string, address: string): Promise<Uint8Array> {
    const name = address.split(":")[0] as string;
    return new Promise((resolve, reject) => {
      this.#after(2, () => {
        const node = this.#nodes.get(name);
        if (node === undefined || this.#cut.has(pairOf(from, name))) {
          reject(new WhorlError("not_reachable", `Cannot reach ${address}`));
        } else {
          this.#met.add(pairOf(from, name));
          this.#connect();
          resolve(node.cluster.joinOffer());
        }
      });
    });
  }

  /** Links nodes of whom one wants the other, and breaks links nobody wants. */
  #connect(): void {
    const nodes = [...this.#nodes.values()];
    for (const a of nodes) {
      for (const b of nodes) {
        if (a.name >= b.name) continue;
        const wanted = a.peers.has(b.name) || b.peers.has(a.name) ||
          this.#met.has(pairOf(a.name, b.name));
        const refused = a.cluster.refusePeer(b.name, `id-${b.name}`) ??
          b.cluster.refusePeer(a.name, `id-${a.name}`);
        if (!wanted) {
          this.#break(a.name, b.name);
          this.#break(b.name, a.name);
        } else if (
          !a.links.has(b.name) && refused === null &&
          !this.#cut.has(pairOf(a.name, b.name))
        ) {
          a.links.add(b.name);
          b.links.add(a.name);
          a.cluster.peerUp(b.name);
          b.cluster.peerUp(a.name);
        }
      }
    }
  }

  #break(name: string, peer: string): void {
    const node = this.#nodes.get(name);
    this.#met.delete(pairOf(name, peer));
    if (node?.links.delete(peer)) node.cluster.peerDown(peer, "link_broken");
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}

/** Lets promises that are settled reach those who wait for them. */
async function drain(): Promise<void> {
  for (let i = 0; i < 25; i++) await null;
}
