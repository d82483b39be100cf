/**
 * The way from one host to another: how long a segment takes, whether it gets
 * there, and what is being done to the way at the moment. The way back is
 * another one.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { NetworkWeather } from "../schedule/schedule.ts";
import type { VirtualTime } from "../virtual_time.ts";

/** Arrival of a segment that will not arrive. */
export const LOST: number = Infinity;
/** Arrival of a segment that waits on a stalled path. */
export const HELD: number = Number.MAX_VALUE;

/** Least time before a system sends again what was not acknowledged, as in Linux. */
const RETRANSMIT_MS_MIN = 200;

/** What has gone over the network so far. */
export interface TrafficCounts {
  /** Segments with bytes, or the end of a stream, that have left a host, repetitions by the sender included. */
  segments: number;
  /** Segments and acknowledgements that were lost, to the weather or to a fault. */
  lost: number;
  /** Segments the sender's system sent again. */
  retransmitted: number;
  /** Segments that came twice; the second was dropped by the receiver's system. */
  repeated: number;
  /** Segments that were overtaken by later ones. */
  reordered: number;
  /** Bytes that processes have read. */
  bytes: number;
  /** Connections that a system has reset. */
  resets: number;
  /** Writes of which a bit was changed. */
  corrupted: number;
}

/** What all paths of a network share. */
export interface NetworkConditions {
  readonly time: VirtualTime;
  readonly counts: TrafficCounts;
  /** The weather from now on. */
  weather: NetworkWeather;
}

/** What travels within one host meets no weather. */
const LOOPBACK_WEATHER: NetworkWeather = {
  delayMsMin: 0.02,
  delayMsMax: 0.05,
  lossProbability: 0,
  repeatProbability: 0,
  reorderProbability: 0,
};

/** One way from a host to a host. */
export class NetworkPath {
  readonly from: string;
  readonly to: string;
  /** Milliseconds that everything takes longer. */
  addedDelayMs = 0;
  /** How likely a bit of a write is changed. */
  corruptProbability = 0;
  /** Faults that let nothing through; they may overlap. */
  #blocks = 0;
  #stalled = false;
  /** Whether the machine at its end is without power. */
  #dark = false;
  /** How often the path became impassable, by which a packet under way knows that it was lost. */
  #losses = 0;
  readonly #held: (() => void)[] = [];
  readonly #conditions: NetworkConditions;
  /** Of its own, so that the traffic of one pair of hosts leaves the luck of others alone. */
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

  /** Whether nothing gets through. */
  get blocked(): boolean {
    return this.#blocks > 0 || this.#dark;
  }

  /** Whether everything waits. */
  get stalled(): boolean {
    return this.#stalled;
  }

  get #weather(): NetworkWeather {
    return this.from === this.to ? LOOPBACK_WEATHER : this.#conditions.weather;
  }

  /** How long a sender's system waits for an acknowledgement before it sends again, the first time. */
  get retransmitMs(): number {
    return RETRANSMIT_MS_MIN +
      2 * (this.#weather.delayMsMax + this.addedDelayMs);
  }

  /** When something that leaves now arrives: a moment, {@linkcode LOST} or {@linkcode HELD}. */
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
      // Nothing above the receiver's system can tell, as it knows every byte by its place.
      counts.repeated++;
    } else if (luck < repeatProbability + reorderProbability) {
      counts.reordered++;
      delayMs += (1 + 3 * this.#chance.next()) *
        Math.max(1, this.#weather.delayMsMax);
    }
    return time.now() + delayMs;
  }

  /** Which bit of a write of `bytes` bytes is changed on the way, or undefined for none. */
  changedBit(bytes: number): number | undefined {
    // A path that is sound draws no luck for it.
    if (this.corruptProbability === 0) return undefined;
    if (!this.#chance.chance(this.corruptProbability)) return undefined;
    this.#conditions.counts.corrupted++;
    return this.#chance.below(bytes * 8);
  }

  /** When something that was held arrives, now that the path flows again. */
  arrivalAfterStall(): number {
    return this.#conditions.time.now() + this.#delayMs();
  }

  #delayMs(): number {
    const { delayMsMin, delayMsMax } = this.#weather;
    return delayMsMin + this.#chance.next() * (delayMsMax - delayMsMin) +
      this.addedDelayMs;
  }

  /** Takes a packet without bytes across (a request to connect, a reset, a probe): `arrived` is called unless it is lost. */
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

  /** Lets nothing through until {@linkcode unblock} was called as often; what is under way is lost. */
  block(): void {
    this.#blocks++;
    this.#loseAll();
  }

  #loseAll(): void {
    this.#losses++;
    this.#conditions.counts.lost += this.#held.length;
    this.#held.length = 0;
  }

  /** Takes one {@linkcode block} back. */
  unblock(): void {
    if (this.#blocks > 0) this.#blocks--;
  }

  /** The machine at its end loses power, or has it back. */
  darken(dark: boolean): void {
    this.#dark = dark;
    if (dark) this.#loseAll();
  }

  /** Holds everything back, or lets it go on. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
    if (stalled) return;
    for (const arrived of this.#held.splice(0)) {
      this.#deliver(this.arrivalAfterStall(), arrived);
    }
  }

  /** Ends every fault of the path; a machine without power stays dark. */
  heal(): void {
    this.#blocks = 0;
    this.addedDelayMs = 0;
    this.corruptProbability = 0;
    this.stall(false);
  }
}
