/**
 * The shell of `coverage_fsm.ts`: performs its effects and turns the messages
 * of vnodes and of the caller into its events. Each request to a vnode has its
 * own number on the host, so that a late answer to an abandoned one is dropped.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { Deadline } from "../environment/deadline_wheel.ts";
import {
  COVERAGE_TIMEOUT_MS_MAX,
  CoverageAction,
  writeCoverageAction,
  writeCoverageOpen,
} from "../vnode/coverage_codec.ts";
import { RequestFlag, writeVnodeRequestHeader } from "../vnode/vnode_wire.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  type CoverageEffect,
  type CoverageEvent,
  type CoveragePart,
  type CoveragePiece,
  type CoverageState,
  type CoverageTimer,
  createCoverage,
  stepCoverage,
} from "./coverage_fsm.ts";
import {
  writePageReport,
  writePageStart,
  writePiece,
} from "./coverage_page_codec.ts";
import type { CoverageReport } from "./coverage_report.ts";
import { COVERAGE_PAUSE_MS } from "./coverage_pace.ts";
import { OperationFlag } from "./operation_codec.ts";
import type { OperationTarget } from "./operation_target.ts";
import type { ProcessHost } from "./process_host.ts";
import { MachineProcess } from "./machine_process.ts";
import {
  type BegunOperation,
  REPLICAS_PER_REQUEST,
} from "./request_process.ts";

/** Largest body of a query, in bytes: eight vnodes may have it in hand at a time. */
export const COVERAGE_BODY_BYTES_MAX = 1024 * 1024;

/**
 * How much longer than the coordinator vnodes wait, in milliseconds. Otherwise
 * they would time out first, and the caller would hear that too many vnodes
 * failed rather than that its time is over.
 */
const VNODE_GRACE_MS = 250;

/** A timer of the machine on the host's wheel. */
class WheelTimer implements Deadline {
  wheelNext: Deadline | undefined = undefined;
  wheelPrevious: Deadline | undefined = undefined;
  wheelTick = 0;

  constructor(readonly deadlinePassed: () => void) {}
}

/** Coordinates one coverage query. */
export class CoverageProcess
  extends MachineProcess<CoverageEvent, CoverageEffect> {
  /** What its caller knows it by. */
  readonly query: number;
  readonly #machine: CoverageState;
  /** Where the body of the query begins in the operation. */
  readonly #bodyStart: number;
  /** Parts by the number of the ask they owe an answer to, and the other way round. */
  readonly #asks = new Map<number, number>();
  readonly #askOf = new Map<number, number>();
  /** Stream numbers of the query at vnodes, by part. */
  readonly #streams = new Map<number, number>();
  readonly #timers = new Map<CoverageTimer, WheelTimer>();
  /** Holds pages back while other requests arrive. */
  readonly #pause = new WheelTimer(() => this.#pauseOver());

  /**
   * @throws {WhorlError} `invalid_argument` if it wants what no ring can give,
   * or `protocol_error`.
   */
  constructor(
    operation: BegunOperation,
  ) {
    super(operation);
    const { host, header, bytes, view } = operation;
    const { n, quorum, flags, keyEnd, end, timeLeftMs } = header;
    if (n < 1 || n > view.ringSize || quorum < 1 || quorum > n) {
      throw new WhorlError(
        "invalid_argument",
        `Cannot run a coverage query as n must be from 1 to ${view.ringSize} and the coverage from 1 to n: current values are ${n} and ${quorum}`,
      );
    }
    const reader = new ByteReader(bytes, keyEnd, end);
    const idleMs = reader.u32();
    for (const time of [timeLeftMs, idleMs]) {
      if (time >= 1 && time <= COVERAGE_TIMEOUT_MS_MAX) continue;
      throw new WhorlError(
        "invalid_argument",
        `Cannot run a coverage query as its times must be from 1 to ${COVERAGE_TIMEOUT_MS_MAX} ms: current value is ${time}`,
      );
    }
    this.#bodyStart = reader.offset;
    if (end - this.#bodyStart > COVERAGE_BODY_BYTES_MAX) {
      throw new WhorlError(
        "frame_too_large",
        `Cannot run a coverage query with a body of ${
          end - this.#bodyStart
        } bytes: the limit is ${COVERAGE_BODY_BYTES_MAX}`,
      );
    }
    this.query = randomNumber(host);
    this.#machine = createCoverage(view, {
      n,
      primaryVnodeCoverage: quorum,
      mode: flags & OperationFlag.allUp ? "allup" : "all",
      timeoutMs: timeLeftMs,
      idleMs,
    }, this.query);
    this.onExit(() => this.#release());
  }

  owesAnswerFrom(): number {
    return 0;
  }

  override nodeLost(node: number, error: WhorlError): void {
    this.#deliver({ type: "node_lost", node, error });
  }

  replicaAnswered(
    type: number,
    _replica: number,
    body: Uint8Array,
    sequence: number,
  ): void {
    const part = this.#asks.get(sequence);
    if (part === undefined) return;
    this.#closeAsk(part);
    if (type === FrameType.vnodeError) {
      const event = this.readFailureEvent(part, body);
      this.#deliver(
        event.type === "failed"
          ? { type: "failed", part, error: event.error }
          : { type: "wrong_owner", part, owner: event.owner },
      );
      return;
    }
    this.#deliver({
      type: "batch",
      part,
      bytes: body.subarray(1),
      ended: body[0] === 1,
    });
  }

  /** The caller has consumed its page and asks for more; `target` receives it. */
  more(target: OperationTarget): void {
    if (this.waitFor(target)) {
      const held = !this.#mayGoOn();
      if (held) this.host.wheel.set(this.#pause, COVERAGE_PAUSE_MS);
      this.#deliver({ type: "demand", held });
    } else {
      target.operationFailed(
        new WhorlError(
          "protocol_error",
          "Cannot ask for more of a coverage query twice at once",
        ),
      );
    }
  }

  #mayGoOn(): boolean {
    const { coveragePace, runtime } = this.host;
    return coveragePace === undefined || coveragePace.mayGoOn(runtime.now());
  }

  #pauseOver(): void {
    if (this.#mayGoOn()) this.#deliver({ type: "released" });
    else this.host.wheel.set(this.#pause, COVERAGE_PAUSE_MS);
  }

  /** The caller wants no more. */
  cancel(): void {
    this.#deliver({ type: "cancel" });
  }

  protected step(event: CoverageEvent, effects: CoverageEffect[]): void {
    stepCoverage(this.#machine, event, effects);
  }

  #deliver(event: CoverageEvent): void {
    this.host.deliver(this, event);
  }

  protected perform(effect: CoverageEffect): void {
    switch (effect.type) {
      case "open":
        this.#open(effect.part);
        return;
      case "more":
        this.#ask(
          effect.part,
          (into) =>
            writeCoverageAction(
              into,
              CoverageAction.more,
              this.#streams.get(effect.part) as number,
            ),
        );
        return;
      case "cancel_part":
        this.#closeAsk(effect.part);
        this.#cancelPart(effect.part);
        return;
      case "set_timer":
        this.#setTimer(effect.timer, effect.afterMs);
        return;
      case "clear_timer": {
        const timer = this.#timers.get(effect.timer);
        if (timer !== undefined) this.host.wheel.clear(timer);
        return;
      }
      case "respond": {
        const { result } = effect;
        if (result.ok) this.#sendPage(result.pieces, result.report);
        else this.fail(result.error);
        return;
      }
      default:
        this.performCommon(effect);
    }
  }

  #part(number: number): CoveragePart {
    return this.#machine.parts[number] as CoveragePart;
  }

  #open(number: number): void {
    const { keySpaces, filtered } = this.#part(number);
    const stream = randomNumber(this.host);
    this.#streams.set(number, stream);
    this.#ask(number, (into, timeLeftMs) => {
      writeCoverageOpen(
        into,
        stream,
        timeLeftMs,
        filtered ? keySpaces : null,
      );
      into.rawRange(this.bytes, this.#bodyStart, this.header.end);
    });
  }

  /** Asks the vnode of a part, which owes an answer from now on; a refusal comes back as an event. */
  #ask(
    part: number,
    write: (into: ByteWriter, timeLeftMs: number) => void,
  ): void {
    // One that has moved is asked anew while nothing is owed.
    const sequence = this.host.openSequence(this);
    this.#asks.set(sequence, part);
    this.#askOf.set(part, sequence);
    const refusal = this.#send(part, sequence * REPLICAS_PER_REQUEST, write);
    if (refusal === undefined) return;
    this.#closeAsk(part);
    this.#deliver({ type: "failed", part, error: refusal });
  }

  #send(
    number: number,
    correlation: number,
    write: (into: ByteWriter, timeLeftMs: number) => void,
  ): WhorlError | undefined {
    const { host, header } = this;
    const { partition, node } = this.#part(number);
    const vnode = this.view.firstVnode + partition;
    const timeLeftMs = Math.min(
      this.timeLeftMs + VNODE_GRACE_MS,
      COVERAGE_TIMEOUT_MS_MAX,
    );
    const into = host.routes.beginVnodeRequest(
      this.view.nodes[node] as string,
      header.moduleId,
      vnode,
      host,
      correlation,
      timeLeftMs,
    );
    if (into instanceof WhorlError) return into;
    writeVnodeRequestHeader(
      into,
      header.moduleId,
      vnode,
      header.command,
      RequestFlag.coverage,
      timeLeftMs,
    );
    write(into, timeLeftMs);
    host.routes.endVnodeRequest();
    return undefined;
  }

  /** Tells the vnode of a part to stop, if it can be reached; otherwise the deadline of the query ends it there. */
  #cancelPart(part: number): void {
    const stream = this.#streams.get(part);
    if (stream === undefined) return;
    this.#send(
      part,
      0,
      (into) => writeCoverageAction(into, CoverageAction.cancel, stream),
    );
  }

  #closeAsk(part: number): void {
    const sequence = this.#askOf.get(part);
    if (sequence === undefined) return;
    this.#askOf.delete(part);
    this.#asks.delete(sequence);
    this.host.closeSequence(sequence);
  }

  #setTimer(name: CoverageTimer, afterMs: number): void {
    let timer = this.#timers.get(name);
    if (timer === undefined) {
      timer = new WheelTimer(() =>
        this.#deliver({ type: "timer", timer: name })
      );
      this.#timers.set(name, timer);
    }
    this.host.wheel.set(timer, afterMs);
  }

  #sendPage(
    pieces: readonly CoveragePiece[],
    report: CoverageReport | undefined,
  ): void {
    const byteCount = pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const into = new ByteWriter(byteCount + 64 * (pieces.length + 1));
    writePageStart(into, this.query, this.timeLeftMs, pieces.length);
    for (const { part, bytes } of pieces) {
      const { partition, node, repeats } = this.#part(part);
      writePiece(into, {
        part,
        repeats,
        partition,
        node: this.view.nodes[node] as string,
      }, bytes);
    }
    if (report !== undefined) writePageReport(into, report);
    this.host.coveragePace?.notePage(byteCount, this.host.nowMs);
    this.succeed({ object: into.view(), replies: [], replicas: [] });
  }

  /** However it ended, nothing is left on the host or, as far as they can be reached, at vnodes. */
  #release(): void {
    this.host.wheel.clear(this.#pause);
    for (const timer of this.#timers.values()) this.host.wheel.clear(timer);
    for (const part of [...this.#askOf.keys()]) this.#closeAsk(part);
    // Killed, or crashed half-way.
    if (this.#machine.phase !== "collecting") return;
    this.#machine.parts.forEach(({ state }, part) => {
      if (state === "open") this.#cancelPart(part);
    });
  }
}

/** A number that is unlikely to collide with others. */
function randomNumber({ runtime }: ProcessHost): number {
  return Math.floor(runtime.random() * Number.MAX_SAFE_INTEGER);
}
