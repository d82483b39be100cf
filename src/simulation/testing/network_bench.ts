/**
 * A network with only hosts and processes that connect, for tests of the
 * network.
 *
 * @module
 */
import { seededChance } from "../../base/chance.ts";
import { isWhorlError } from "../../base/errors.ts";
import type {
  ByteStream,
  Listener,
  Transport,
} from "../../environment/transport.ts";
import type { NetworkWeather } from "../schedule/schedule.ts";
import { SimulatedNetwork } from "../network/simulated_network.ts";
import { SimulatedProcess } from "../simulated_process.ts";
import { Trace } from "../trace/trace.ts";
import { VirtualTime } from "../virtual_time.ts";

/** Each path takes exactly 10 ms, and nothing goes wrong on its own. */
export const FAIR_WEATHER: NetworkWeather = {
  delayMsMin: 10,
  delayMsMax: 10,
  lossProbability: 0,
  repeatProbability: 0,
  reorderProbability: 0,
};

/** One incarnation of a process, and its transport. */
export interface BenchHost {
  readonly process: SimulatedProcess;
  readonly transport: Transport;
}

/** A stream between hosts `a` and `b`, opened by `a`. */
export interface BenchPair {
  readonly a: BenchHost;
  readonly b: BenchHost;
  readonly near: ByteStream;
  readonly far: ByteStream;
  readonly listener: Listener;
}

/** The outcome of a promise. */
export interface Watched<T> {
  /** Set once it has been fulfilled. */
  value?: T;
  /** Set once it has been rejected: the error's code and message. */
  error?: string;
}

/** A network, whose time passes only on request. */
export class NetworkBench {
  readonly time: VirtualTime = new VirtualTime();
  readonly trace: Trace;
  readonly network: SimulatedNetwork;

  constructor(
    weather: Partial<NetworkWeather> = {},
    { seed = "bench", traced = false } = {},
  ) {
    this.trace = new Trace(traced, () => this.time.now());
    this.network = new SimulatedNetwork({
      time: this.time,
      chance: seededChance(seed),
      trace: this.trace,
      weather: { ...FAIR_WEATHER, ...weather },
    });
  }

  /** Starts a process on host `name`. */
  host(name: string): BenchHost {
    const process = new SimulatedProcess(name, this.time, seededChance(name));
    return { process, transport: this.network.transport(name, process) };
  }

  /** Ends a process as the death of its process or machine would. */
  kill({ process }: BenchHost, powerLost = false): void {
    process.kill();
    this.network.processDied(process, powerLost);
  }

  /** Lets that much time pass. */
  async pass(ms: number): Promise<void> {
    await this.time.run(this.time.now() + ms);
  }

  /** Records the outcome of `promise`. */
  watch<T>(promise: Promise<T>): Watched<T> {
    const watched: Watched<T> = {};
    promise.then((value) => {
      watched.value = value;
    }, (error: unknown) => {
      if (!isWhorlError(error)) throw error;
      watched.error = `${error.code}: ${error.message}`;
    });
    return watched;
  }

  /** Lets time pass until `promise` has settled, at most an hour. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    const end = await this.time.run(
      this.time.now() + 3_600_000,
      () => settled,
    );
    if (end !== "done") throw new Error(`It never came: ${end}`);
    return await promise;
  }

  /** A stream from a process on `a` to one on `b`. */
  async pair(): Promise<BenchPair> {
    const a = this.host("a");
    const b = this.host("b");
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await b.transport.listen("b:7", accepted.resolve);
    const near = await this.until(a.transport.connect("b:7"));
    const far = await this.until(accepted.promise);
    return { a, b, near, far, listener };
  }

  /**
   * Starts reading up to `count` bytes as text; `end` at the end of the stream.
   */
  read(stream: ByteStream, count = 100): Watched<string> {
    const into = new Uint8Array(count);
    return this.watch(
      stream.read(into).then((read) =>
        read === null ? "end" : new TextDecoder().decode(into.subarray(0, read))
      ),
    );
  }

  /** Starts writing text, or that many bytes. */
  write(stream: ByteStream, what: string | number): Watched<string> {
    const bytes = typeof what === "string"
      ? new TextEncoder().encode(what)
      : new Uint8Array(what);
    return this.watch(stream.write(bytes).then(() => "written"));
  }
}
