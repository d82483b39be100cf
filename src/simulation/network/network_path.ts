/**
 * The path from one host to another: how long a segment takes, whether it
 * arrives, and which faults are active. The way back is a path of its own.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { NetworkWeather } from "../schedule/schedule.ts";
import type { VirtualTime } from "../virtual_time.ts";

/** Arrival time of a lost segment. */
export const LOST: number = Infinity;
/** Arrival time of a segment that waits on a stalled path. */
export const HELD: number = Number.MAX_VALUE;

/** Shortest time before unacknowledged data is sent again, as in Linux. */
const RETRANSMIT_MS_MIN = 200;

/** Traffic of the network so far. */
export interface TrafficCounts {
  /**
   * Segments with bytes or the end of a stream that left a host, including
   * retransmissions.
   */
  segments: number;
  /** Segments and acknowledgements that were lost, at random or by a fault. */
  lost: number;
  /** Segments that were retransmitted. */
  retransmitted: number;
  /** Segments that arrived twice; the receiving system dropped the second. */
  repeated: number;
  /** Segments that were overtaken by later ones. */
  reordered: number;
  /** Bytes read by processes. */
  bytes: number;
  /** Connections reset by a system. */
  resets: number;
  /** Writes with a flipped bit. */
  corrupted: number;
}

/** Shared by all paths of a network. */
export interface NetworkConditions {
  readonly time: VirtualTime;
  readonly counts: TrafficCounts;
  /** Current delay and loss. */
  weather: NetworkWeather;
}

/** Traffic within a host has no delay and no loss. */
const LOOPBACK_WEATHER: NetworkWeather = {
  delayMsMin: 0.02,
  delayMsMax: 0.05,
  lossProbability: 0,
  repeatProbability: 0,
  reorderProbability: 0,
};

/** One path from a host to a host. */
export class NetworkPath {
  readonly from: string;
  readonly to: string;
  /** Added latency in milliseconds. */
  addedDelayMs = 0;
  /** Probability that a bit of a write is flipped. */
  corruptProbability = 0;
  /** Number of faults that block it; they may overlap. */
  #blocks = 0;
  #stalled = false;
  /** Whether the machine at its end has no power. */
  #dark = false;
  /**
   * How often the path was interrupted; a packet in flight is lost if this has
   * changed.
   */
  #losses = 0;
  readonly #held: (() => void)[] = [];
  readonly #conditions: NetworkConditions;
  /**
   * One per path, so that the traffic of one pair of hosts does not affect the
   * draws of others.
   */
  readonly #chance: Chance;

  constructor(
    from: string,
    to: string,
    conditions: NetworkConditions,
    chance: Chance,
  ) {
    this.from = from;
    this.to = to;
    this.#conditions = conditions;
    this.#chance = chance;
  }

  /** Whether it is blocked. */
  get blocked(): boolean {
    return this.#blocks > 0 || this.#dark;
  }

  /** Whether it is stalled. */
  get stalled(): boolean {
    return this.#stalled;
  }

  get #weather(): NetworkWeather {
    return this.from === this.to ? LOOPBACK_WEATHER : this.#conditions.weather;
  }

  /**
   * How long a sender waits for an acknowledgement before the first
   * retransmission.
   */
  get retransmitMs(): number {
    return RETRANSMIT_MS_MIN +
      2 * (this.#weather.delayMsMax + this.addedDelayMs);
  }

  /**
   * When a segment that leaves now arrives: a time, {@linkcode LOST} or
   * {@linkcode HELD}.
   */
  arrival(): number {
    const { counts, time } = this.#conditions;
    if (this.blocked) {
      counts.lost++;
      return LOST;
    }
    if (this.#stalled) return HELD;
    const { lossProbability, repeatProbability, reorderProbability } =
      this.#weather;
    let luck = this.#chance.next();
    if (luck < lossProbability) {
      counts.lost++;
      return LOST;
    }
    let delayMs = this.#delayMs();
    luck -= lossProbability;
    if (luck < repeatProbability) {
      // Invisible above the receiving system, which knows every byte by its
      // position.
      counts.repeated++;
    } else if (luck < repeatProbability + reorderProbability) {
      counts.reordered++;
      delayMs += (1 + 3 * this.#chance.next()) *
        Math.max(1, this.#weather.delayMsMax);
    }
    return time.now() + delayMs;
  }

  /**
   * The bit that is flipped in a write of `bytes` bytes, or undefined for none.
   */
  changedBit(bytes: number): number | undefined {
    // Without the fault, no random number is drawn for it.
    if (this.corruptProbability === 0) return undefined;
    if (!this.#chance.chance(this.corruptProbability)) return undefined;
    this.#conditions.counts.corrupted++;
    return this.#chance.below(bytes * 8);
  }

  /** When a held segment arrives, now that the stall has ended. */
  arrivalAfterStall(): number {
    return this.#conditions.time.now() + this.#delayMs();
  }

  #delayMs(): number {
    const { delayMsMin, delayMsMax } = this.#weather;
    return delayMsMin + this.#chance.next() * (delayMsMax - delayMsMin) +
      this.addedDelayMs;
  }

  /**
   * Delivers a packet without bytes (a request to connect, a reset, a probe):
   * `arrived` is called unless it is lost.
   */
  carry(arrived: () => void): void {
    const atMs = this.arrival();
    if (atMs === LOST) return;
    if (atMs === HELD) this.#held.push(arrived);
    else this.#deliver(atMs, arrived);
  }

  #deliver(atMs: number, arrived: () => void): void {
    const { time, counts } = this.#conditions;
    const losses = this.#losses;
    time.schedule(atMs - time.now(), () => {
      if (losses === this.#losses) arrived();
      else counts.lost++;
    });
  }

  /**
   * Blocks it until {@linkcode unblock} was called as often; packets in flight
   * are lost.
   */
  block(): void {
    this.#blocks++;
    this.#loseAll();
  }

  #loseAll(): void {
    this.#losses++;
    this.#conditions.counts.lost += this.#held.length;
    this.#held.length = 0;
  }

  /** Removes one {@linkcode block}. */
  unblock(): void {
    if (this.#blocks > 0) this.#blocks--;
  }

  /** The machine at its end loses or regains power. */
  darken(dark: boolean): void {
    this.#dark = dark;
    if (dark) this.#loseAll();
  }

  /** Stalls it, or ends the stall. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
    if (stalled) return;
    for (const arrived of this.#held.splice(0)) {
      this.#deliver(this.arrivalAfterStall(), arrived);
    }
  }

  /** Ends every fault of the path; a machine without power stays without. */
  heal(): void {
    this.#blocks = 0;
    this.addedDelayMs = 0;
    this.corruptProbability = 0;
    this.stall(false);
  }
}
