/**
 * The network of a simulation: hosts, the paths between them, and their faults.
 * It provides the production {@linkcode Transport} to one incarnation of a
 * process at a time; all delays and losses come from one seed, in virtual time.
 *
 * Faults can be switched at any time and affect what is in flight:
 *
 * - a _blocked_ path carries nothing. Nobody is notified, so connections across
 *   it hang; if only one direction is blocked, bytes arrive and their
 *   acknowledgements do not.
 * - a _stalled_ path holds everything until the stall ends.
 * - a _slow_ path takes longer.
 * - a _corrupt_ path flips single bits, which TCP's own checksum does not
 *   detect.
 * - a _reset_ breaks connections at both ends, once.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import type { Chance } from "../../base/chance.ts";
import type {
  Address,
  ByteStream,
  Listener,
  Transport,
} from "../../environment/transport.ts";
import { formatAddress, parseAddress } from "../../transport/address.ts";
import { NetworkLife } from "./network_life.ts";
import {
  type NetworkConditions,
  NetworkPath,
  type TrafficCounts,
} from "./network_path.ts";
import type { NetworkWeather } from "../schedule/schedule.ts";
import { dial } from "./simulated_dial.ts";
import type { SimulatedFlow } from "./simulated_flow.ts";
import { SimulatedListener } from "./simulated_listener.ts";
import type { SimulatedProcess } from "../simulated_process.ts";
import { SimulatedConnection } from "./simulated_stream.ts";
import { StreamTrace } from "./stream_trace.ts";
import type { Trace } from "../trace/trace.ts";
import type { VirtualTime } from "../virtual_time.ts";

const FIRST_FREE_PORT = 32_768;
const PORT_MAX = 65_535;

/** Options of a network. */
export interface SimulatedNetworkOptions {
  readonly time: VirtualTime;
  /** Source of its random draws. */
  readonly chance: Chance;
  readonly trace: Trace;
  /**
   * Delay and loss on every path, until {@linkcode SimulatedNetwork.weather} is
   * set.
   */
  readonly weather: NetworkWeather;
}

/** Traffic of a network, and what is open. */
export interface NetworkCounts extends Readonly<TrafficCounts> {
  /** Ends of connections that living processes have not closed. */
  readonly openStreams: number;
  /**
   * Connections that some system still keeps, perhaps after both processes have
   * closed them.
   */
  readonly connections: number;
  /** Addresses that processes listen on. */
  readonly listeners: number;
  /** Attempts to connect so far. */
  readonly connects: number;
  /** Pending attempts. */
  readonly connecting: number;
}

interface Host {
  readonly name: string;
  nextPort: number;
  /** Whether its machine has no power. */
  dark: boolean;
}

/** Hosts and the paths between them. */
export class SimulatedNetwork {
  readonly #conditions: NetworkConditions;
  readonly #chance: Chance;
  readonly #trace: StreamTrace | undefined;
  readonly #hosts: Map<string, Host> = new Map();
  readonly #paths: Map<string, NetworkPath> = new Map();
  readonly #lives: Map<SimulatedProcess, NetworkLife> = new Map();
  readonly #listeners: Map<Address, SimulatedListener> = new Map();
  readonly #connections: Set<SimulatedConnection> = new Set();
  /** By that name, hosts that others reach by another name only. */
  readonly #doors = new Map<string, string>();
  #connects = 0;
  #connecting = 0;
  readonly #stands = (connection: SimulatedConnection): void =>
    void this.#connections.add(connection);
  readonly #over = (connection: SimulatedConnection): void =>
    void this.#connections.delete(connection);

  constructor({ time, chance, trace, weather }: SimulatedNetworkOptions) {
    this.#chance = chance;
    this.#trace = trace.on ? new StreamTrace(trace) : undefined;
    this.#conditions = {
      time,
      weather,
      counts: {
        segments: 0,
        lost: 0,
        retransmitted: 0,
        repeated: 0,
        reordered: 0,
        bytes: 0,
        resets: 0,
        corrupted: 0,
      },
    };
  }

  /** Current delay and loss; what is in flight keeps what was drawn for it. */
  get weather(): NetworkWeather {
    return this.#conditions.weather;
  }

  set weather(weather: NetworkWeather) {
    this.#conditions.weather = weather;
  }

  /**
   * From now on others reach `host` as `door` and not by its own name, as
   * behind a forwarded port.
   */
  hide(host: string, door: string): void {
    this.#doors.set(door, host);
  }

  /** The name by which others reach `host`. */
  nameOf(host: string): string {
    const doors = [...this.#doors];
    return doors.find(([, hidden]) => hidden === host)?.[0] ?? host;
  }

  /**
   * The transport for a new incarnation of a process on `host`, which has power
   * from now on. It listens only on that host.
   */
  transport(host: string, process: SimulatedProcess): Transport {
    const life = new NetworkLife(host, process);
    this.#lives.set(process, life);
    this.#darken(host, false);
    return {
      // An async function, so that a bad address rejects like every other
      // failure.
      // deno-lint-ignore require-await
      listen: async (address, accept) => this.#listen(life, address, accept),
      // deno-lint-ignore require-await
      connect: async (address, { signal } = {}) =>
        this.#connect(life, address, signal),
    };
  }

  /**
   * Reclaims what the system kept for a process that has died. Its listeners
   * vanish; its connections are closed by the system, which still delivers what
   * was written, and resets connections with unread bytes.
   *
   * @param powerLost Whether the machine died with it. Then nobody is notified,
   * and the host is silent until the next incarnation begins on it.
   * @default {false}
   */
  processDied(process: SimulatedProcess, powerLost = false): void {
    const life = this.#lives.get(process);
    if (life === undefined) return;
    this.#lives.delete(process);
    if (powerLost) this.#darken(life.host, true);
    life.end(powerLost);
  }

  /**
   * Blocks the path from one host to another, until {@linkcode unblock} was
   * called as often; what is in flight is lost.
   */
  block(from: string, to: string): void {
    const path = this.#path(from, to);
    path.block();
    this.#broke(path);
  }

  /** Removes one {@linkcode block}. */
  unblock(from: string, to: string): void {
    this.#path(from, to).unblock();
  }

  /** Holds what travels from one host to another, until {@linkcode unstall}. */
  stall(from: string, to: string): void {
    this.#stall(this.#path(from, to), true);
  }

  /** Releases what was held. */
  unstall(from: string, to: string): void {
    this.#stall(this.#path(from, to), false);
  }

  /**
   * Adds `addedDelayMs` to the latency from one host to another from now on; 0
   * ends it.
   */
  slow(from: string, to: string, addedDelayMs: number): void {
    this.#path(from, to).addedDelayMs = addedDelayMs;
  }

  /**
   * Flips a bit of writes from one host to another, with this probability per
   * write; 0 ends it.
   */
  corrupt(from: string, to: string, probability: number): void {
    this.#path(from, to).corruptProbability = probability;
  }

  /**
   * Breaks all connections between two hosts at both ends, with what is in
   * flight; returns how many.
   */
  reset(one: string, other: string): number {
    let count = 0;
    for (const connection of [...this.#connections]) {
      const { near, far } = connection;
      const between = (near.host === one && far.host === other) ||
        (near.host === other && far.host === one);
      if (between && connection.reset()) count++;
    }
    this.#conditions.counts.resets += count;
    return count;
  }

  /**
   * Ends every fault. Delay and loss stay, and so do machines without power.
   */
  healAll(): void {
    for (const path of this.#paths.values()) {
      const { stalled } = path;
      path.heal();
      if (stalled) this.#stall(path, false);
    }
  }

  /** Traffic so far, and what is open. */
  counts(): NetworkCounts {
    let openStreams = 0;
    for (const { near, far } of this.#connections) {
      openStreams += Number(near.held) + Number(far.held);
    }
    return {
      ...this.#conditions.counts,
      openStreams,
      connections: this.#connections.size,
      listeners: this.#listeners.size,
      connects: this.#connects,
      connecting: this.#connecting,
    };
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { name, nextPort: FIRST_FREE_PORT, dark: false };
      this.#hosts.set(name, host);
    }
    return host;
  }

  #path(from: string, to: string): NetworkPath {
    const key = `${from} ${to}`;
    let path = this.#paths.get(key);
    if (path === undefined) {
      const chance = this.#chance.fork(key);
      path = new NetworkPath(from, to, this.#conditions, chance);
      if (this.#host(to).dark) path.darken(true);
      this.#paths.set(key, path);
    }
    return path;
  }

  #darken(name: string, dark: boolean): void {
    const host = this.#host(name);
    if (host.dark === dark) return;
    host.dark = dark;
    for (const path of this.#paths.values()) {
      if (path.to !== name) continue;
      path.darken(dark);
      if (dark) this.#broke(path);
    }
  }

  #broke(path: NetworkPath): void {
    for (const flow of this.#flows()) {
      if (flow.path === path) flow.pathBroke();
      if (flow.back === path) flow.backBroke();
    }
  }

  #stall(path: NetworkPath, stalled: boolean): void {
    path.stall(stalled);
    for (const flow of this.#flows()) {
      if (flow.path === path) flow.pathStalled(stalled);
      if (flow.back === path) flow.backStalled(stalled);
    }
  }

  *#flows(): Iterable<SimulatedFlow> {
    for (const connection of [...this.#connections]) yield* connection.flows;
  }

  #listen(
    life: NetworkLife,
    address: Address,
    accept: (stream: ByteStream) => void,
  ): Listener | Promise<never> {
    const asked = parseAddress(address);
    // A dead process waits forever.
    if (life.over) return new Promise<never>(() => {});
    if (asked.host !== life.host) {
      throw new WhorlError(
        "not_reachable",
        `Cannot listen on ${address}: this host is ${life.host}`,
        { details: { address } },
      );
    }
    const port = asked.port || this.#freePort(life.host);
    const real = formatAddress(life.host, port);
    if (this.#listeners.has(real)) {
      throw new WhorlError(
        "address_in_use",
        `Cannot listen on ${real} as the address is in use`,
        { details: { address: real } },
      );
    }
    const listener = new SimulatedListener(
      real,
      life,
      accept,
      () => this.#listeners.delete(real),
    );
    this.#listeners.set(real, listener);
    return listener;
  }

  /**
   * Ports are assigned in sequence, so that a late packet never reaches a newer
   * connection.
   */
  #freePort(name: string): number {
    const host = this.#host(name);
    const port = host.nextPort;
    host.nextPort = port === PORT_MAX ? FIRST_FREE_PORT : port + 1;
    return this.#listeners.has(formatAddress(name, port))
      ? this.#freePort(name)
      : port;
  }

  #connect(
    life: NetworkLife,
    address: Address,
    signal: AbortSignal | undefined,
  ): Promise<ByteStream> {
    const { host: name, port } = parseAddress(address);
    const host = this.#doors.get(name) ?? name;
    const isThere = this.nameOf(host) === name;
    const path = this.#path(life.host, host);
    const back = this.#path(host, life.host);
    const farAddress = formatAddress(host, port);
    return dial({
      time: this.#conditions.time,
      life,
      path,
      back,
      address,
      signal,
      listener: () => isThere ? this.#listeners.get(farAddress) : undefined,
      connected: (listener) =>
        new SimulatedConnection({
          conditions: this.#conditions,
          path,
          back,
          near: life,
          nearAddress: formatAddress(life.host, this.#freePort(life.host)),
          far: listener.life,
          farAddress,
          accepter: listener,
          trace: this.#trace,
          stands: this.#stands,
          over: this.#over,
        }).near,
      begun: () => {
        this.#connects++;
        this.#connecting++;
      },
      over: (outcome) => {
        this.#connecting--;
        this.#trace?.dialed(life.host, outcome);
      },
    });
  }
}
