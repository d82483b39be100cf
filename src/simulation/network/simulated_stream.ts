/**
 * One end of a simulated connection: what the process holds, and what the
 * system keeps after the process has let go.
 *
 * It behaves like Linux. A close still delivers what was written, but resets
 * the connection if received bytes were never read; writing to a closed end
 * gets a reset; the system closes the ends of a killed process, so that its
 * last words may still arrive; after a power loss nobody is notified until he
 * sends to the machine that has booted again.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import { invariant } from "../../base/invariant.ts";
import type { Address, ByteStream } from "../../environment/transport.ts";
import type { KeptForProcess, NetworkLife } from "./network_life.ts";
import type { NetworkConditions, NetworkPath } from "./network_path.ts";
import {
  type FlowReceiver,
  type FlowSender,
  SimulatedFlow,
} from "./simulated_flow.ts";
import type { StreamTrace } from "./stream_trace.ts";

/** What a write that was taken at once returns; nobody can tell one from the other. */
const DONE = Promise.resolve();

type PendingRead = PromiseWithResolvers<number | null>;

interface PendingWrite {
  readonly bytes: Uint8Array<ArrayBuffer>;
  taken: number;
  readonly resolve: () => void;
  readonly reject: (error: WhorlError) => void;
}

/** The accepting side of a connection. */
export interface Accepter {
  /**
   * Hands `stream` to the listening process; false if nobody listens any more.
   */
  hand(stream: SimulatedStream): boolean;
}

/** What a new connection needs. */
export interface ConnectionOptions {
  readonly conditions: NetworkConditions;
  /** From the end that connected to the one that accepted. */
  readonly path: NetworkPath;
  readonly back: NetworkPath;
  readonly near: NetworkLife;
  readonly nearAddress: Address;
  readonly far: NetworkLife;
  readonly farAddress: Address;
  readonly accepter: Accepter;
  /** Records what is sent and received, for the trace. */
  readonly trace: StreamTrace | undefined;
  /** It is established, at one end or both; called more than once. */
  readonly stands: (connection: SimulatedConnection) => void;
  /** Both ends are gone. */
  readonly over: (connection: SimulatedConnection) => void;
}

/** Two ends and the flows between them. */
export class SimulatedConnection {
  /** The end that connected. */
  readonly near: SimulatedStream;
  /**
   * The end that accepts; no process holds it until the first segment has
   * arrived.
   */
  readonly far: SimulatedStream;
  readonly #options: ConnectionOptions;

  constructor(options: ConnectionOptions) {
    const { near, far, accepter, trace } = options;
    this.#options = options;
    this.near = new SimulatedStream(
      this,
      near,
      options.farAddress,
      undefined,
      trace,
    );
    this.far = new SimulatedStream(
      this,
      far,
      options.nearAddress,
      accepter,
      trace,
    );
    const { path, back, conditions } = options;
    const there = new SimulatedFlow(
      path,
      back,
      conditions,
      this.near,
      this.far,
    );
    const here = new SimulatedFlow(back, path, conditions, this.far, this.near);
    this.near.connect(this.far, here, there);
    this.far.connect(this.near, there, here);
    options.stands(this);
    there.open();
  }

  /** Both directions. */
  get flows(): readonly [SimulatedFlow, SimulatedFlow] {
    return [this.near.outgoing, this.far.outgoing];
  }

  /**
   * Breaks it at both ends at once; what is in flight is lost. False if no
   * system knows it any more.
   */
  reset(): boolean {
    if (!this.near.alive && !this.far.alive) return false;
    for (const flow of this.flows) flow.destroy();
    this.near.breakOff("the connection was reset");
    this.far.breakOff("the connection was reset");
    return true;
  }

  /** An end was accepted, perhaps long after the other one has gone. */
  accepted(): void {
    this.#options.stands(this);
  }

  /** Something has ended; perhaps it was the last. */
  review(): void {
    if (this.near.gone && this.far.gone) this.#options.over(this);
  }
}

/** One end. */
export class SimulatedStream
  implements ByteStream, FlowSender, FlowReceiver, KeptForProcess {
  readonly remoteAddress: Address;
  /** Bytes that arrive here. */
  incoming!: SimulatedFlow;
  /** Bytes that leave here. */
  outgoing!: SimulatedFlow;
  readonly #connection: SimulatedConnection;
  readonly #life: NetworkLife;
  readonly #trace: StreamTrace | undefined;
  #other!: SimulatedStream;
  /** Set until the process has been given the connection. */
  #accepter: Accepter | undefined;
  /** Whether the system knows the connection. */
  #alive = true;
  /** Whether a process holds it. */
  #held: boolean;
  /** Whether the process has closed it. */
  #closed = false;
  /** Why it broke, if it did. */
  #broken: string | undefined;
  #reading: PendingRead | undefined;
  /** The buffer of a pending read. */
  #into: Uint8Array<ArrayBuffer> | undefined;
  #writing: PendingWrite | undefined;
  #wakeDue = false;
  readonly #wake = (): void => {
    this.#wakeDue = false;
    this.#settle();
  };

  constructor(
    connection: SimulatedConnection,
    life: NetworkLife,
    remoteAddress: Address,
    accepter: Accepter | undefined,
    trace: StreamTrace | undefined,
  ) {
    this.#connection = connection;
    this.#life = life;
    this.remoteAddress = remoteAddress;
    this.#accepter = accepter;
    this.#trace = trace;
    this.#held = accepter === undefined;
    if (this.#held) life.keep(this);
  }

  /** Connects the ends. */
  connect(
    other: SimulatedStream,
    incoming: SimulatedFlow,
    outgoing: SimulatedFlow,
  ): void {
    this.#other = other;
    this.incoming = incoming;
    this.outgoing = outgoing;
  }

  /** Its host. */
  get host(): string {
    return this.#life.host;
  }

  /** Whether the system knows the connection. */
  get alive(): boolean {
    return this.#alive;
  }

  /** Whether a living process has it and has not closed it. */
  get held(): boolean {
    return this.#held;
  }

  /** Whether neither a process nor the system still uses it. */
  get gone(): boolean {
    return !this.#held &&
      (!this.#alive || this.#accepter !== undefined || this.outgoing.over);
  }

  // Called by the process.

  read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (this.#life.over) return never();
    invariant(this.#reading === undefined, "one read at a time");
    if (this.#closed) return Promise.reject(this.#error("read from"));
    const count = this.#take(into);
    if (count !== undefined) return Promise.resolve(count);
    if (this.#broken !== undefined) {
      return Promise.reject(this.#error("read from"));
    }
    this.#into = into;
    this.#reading = Promise.withResolvers();
    return this.#reading.promise;
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#life.over) return never();
    invariant(this.#writing === undefined, "one write at a time");
    if (this.#closed || !this.#alive) {
      return Promise.reject(this.#error("write to"));
    }
    this.#trace?.sent(this.outgoing, bytes);
    const taken = this.outgoing.push(bytes, 0);
    if (taken === bytes.length) return DONE;
    return new Promise((resolve, reject) => {
      this.#writing = { bytes, taken, resolve, reject };
    });
  }

  close(): void {
    if (this.#closed || this.#life.over) return;
    this.#release();
    this.#reading?.reject(this.#error("read from"));
    this.#writing?.reject(this.#error("write to"));
    this.#reading = this.#writing = undefined;
  }

  /** The system takes over the end from a process that closed it or died. */
  #release(): void {
    this.#closed = true;
    this.#held = false;
    this.#life.forget(this);
    if (this.#alive) {
      // Closing with unread bytes loses them, and the other end is notified.
      if (this.incoming.readable > 0) this.#resetOther();
      else this.outgoing.finish();
    }
    this.#connection.review();
  }

  #error(action: string): WhorlError {
    return new WhorlError(
      "connection_closed",
      `Cannot ${action} ${this.remoteAddress}: ${
        this.#closed ? "the connection was closed here" : this.#broken
      }`,
      { details: { address: this.remoteAddress } },
    );
  }

  /** The result of a read now, undefined if it must wait. */
  #take(into: Uint8Array<ArrayBuffer>): number | null | undefined {
    invariant(into.length > 0, "a read has room for a byte");
    const count = this.incoming.read(into);
    if (count > 0) {
      this.#trace?.received(this.incoming);
      return count;
    }
    return this.incoming.ended ? null : undefined;
  }

  /** Completes what the process waits for, if possible. */
  #settle(): void {
    const reading = this.#reading;
    if (reading !== undefined) {
      const count = this.#take(this.#into as Uint8Array<ArrayBuffer>);
      if (count !== undefined || this.#broken !== undefined) {
        this.#reading = undefined;
        if (count === undefined) reading.reject(this.#error("read from"));
        else reading.resolve(count);
      }
    }
    const writing = this.#writing;
    if (writing === undefined) return;
    if (!this.#alive) {
      this.#writing = undefined;
      return writing.reject(this.#error("write to"));
    }
    writing.taken += this.outgoing.push(writing.bytes, writing.taken);
    if (writing.taken < writing.bytes.length) return;
    this.#writing = undefined;
    writing.resolve();
  }

  /** Schedules `#settle()`, if the process waits for anything here. */
  #rouse(): void {
    if (
      this.#wakeDue || !this.#held ||
      (this.#reading === undefined && this.#writing === undefined)
    ) return;
    this.#wakeDue = true;
    this.#life.call(this.#wake);
  }

  // Called by the system.

  takes(bytes: number): boolean {
    const accepter = this.#accepter;
    if (accepter !== undefined && this.#alive) {
      if (accepter.hand(this)) {
        this.#accepter = undefined;
        this.#held = true;
        this.#life.keep(this);
        this.#connection.accepted();
        return true;
      }
    } else if (this.#alive && (bytes === 0 || !this.#closed)) return true;
    this.#resetOther();
    this.#connection.review();
    return false;
  }

  arrived(): void {
    this.#rouse();
  }

  roomCame(): void {
    this.#rouse();
  }

  senderDone(): void {
    this.#connection.review();
  }

  timedOut(): void {
    this.breakOff("the other end has not answered for too long");
  }

  #forgetConnection(): void {
    this.#alive = false;
    this.outgoing.drop();
    this.incoming.deafen();
  }

  /** Tells the other end that this connection does not exist here. */
  #resetOther(): void {
    this.#forgetConnection();
    this.#trace?.reset(this.host, this.#other.host);
    this.outgoing.reset(() =>
      this.#other.breakOff("the other end has reset the connection")
    );
  }

  /**
   * The system learns that the connection is broken. What has arrived can still
   * be read.
   */
  breakOff(reason: string): void {
    if (!this.#alive) return;
    this.#forgetConnection();
    this.#broken = reason;
    if (this.#held) this.#trace?.broke(this.host, this.#other.host, reason);
    this.#rouse();
    this.#connection.review();
  }

  processDied(silently: boolean): void {
    this.#reading = this.#writing = undefined;
    if (silently) this.#forgetConnection();
    this.#release();
  }
}

/** What a dead process waits for. */
function never<T>(): Promise<T> {
  return new Promise(() => {});
}
