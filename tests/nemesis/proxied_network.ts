/**
 * The network between the nodes of a run: a lane for each direction between two
 * of them, and a proxy for each of the two that may dial.
 *
 * @module
 */
import type { Chance } from "../../src/base/chance.ts";
import type { Address } from "../../src/environment/transport.ts";
import { Lane, type LaneConditions } from "./lane.ts";
import { LinkProxy } from "./link_proxy.ts";

/** What one node's bytes to another meet; `undefined` for nothing. */
export type Weather = (from: string, to: string) => LaneConditions | undefined;

/** Lanes and proxies between nodes; disposing ends all connections. */
export class ProxiedNetwork implements AsyncDisposable {
  readonly #names: readonly string[];
  readonly #addresses = new Map<string, Address>();
  readonly #lanes = new Map<string, Lane>();
  readonly #proxies = new Map<string, LinkProxy>();

  /**
   * @param names The nodes.
   * @param host Where proxies listen.
   * @param chance Draws what lanes draw.
   */
  constructor(names: readonly string[], host: string, chance: Chance) {
    this.#names = names;
    this.#pairs((from, to) => {
      const way = wayOf(from, to);
      this.#lanes.set(way, new Lane(chance.fork(way)));
    });
    this.#pairs((from, to) => {
      this.#proxies.set(
        wayOf(from, to),
        new LinkProxy({
          listen: `${host}:0`,
          target: () => this.#addresses.get(to),
          forward: this.lane(from, to),
          backward: this.lane(to, from),
        }),
      );
    });
  }

  #pairs(visit: (from: string, to: string) => void): void {
    for (const from of this.#names) {
      for (const to of this.#names) if (from !== to) visit(from, to);
    }
  }

  /** The bytes from one node to another. */
  lane(from: string, to: string): Lane {
    const lane = this.#lanes.get(wayOf(from, to));
    if (lane === undefined) {
      throw new RangeError(`There is no link from ${from} to ${to}`);
    }
    return lane;
  }

  /** Where `from` dials `to`. */
  addressFor(from: string, to: string): Address {
    const proxy = this.#proxies.get(wayOf(from, to));
    if (proxy === undefined) {
      throw new RangeError(`There is no link from ${from} to ${to}`);
    }
    return proxy.address;
  }

  /** The addresses that stand in for those of the peers of `name`. */
  peersOf(name: string): Record<string, Address> {
    return Object.fromEntries(
      this.#names.filter((peer) => peer !== name)
        .map((peer) => [peer, this.addressFor(name, peer)]),
    );
  }

  /** Says where a node really listens. */
  listens(name: string, address: Address): void {
    this.#addresses.set(name, address);
  }

  /** Puts `weather` in force; disposing takes it back. */
  impose(weather: Weather): Disposable {
    const cause = {};
    this.#pairs((from, to) => {
      const conditions = weather(from, to);
      if (conditions !== undefined) {
        this.lane(from, to).impose(cause, conditions);
      }
    });
    return {
      [Symbol.dispose]: () => {
        for (const lane of this.#lanes.values()) lane.lift(cause);
      },
    };
  }

  /** Ends all connections between two nodes, whoever has dialled; returns how many. */
  cut(one: string, other: string): number {
    let count = 0;
    for (const way of [wayOf(one, other), wayOf(other, one)]) {
      count += this.#proxies.get(way)?.cut() ?? 0;
    }
    return count;
  }

  /** Bits flipped on all lanes so far. */
  get bitsFlipped(): number {
    return [...this.#lanes.values()].reduce(
      (sum, { bitsFlipped }) => sum + bitsFlipped,
      0,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.#proxies.values()].map((proxy) => proxy[Symbol.asyncDispose]()),
    );
  }
}

function wayOf(from: string, to: string): string {
  return `${from} > ${to}`;
}
