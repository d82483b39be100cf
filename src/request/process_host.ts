/**
 * What a coordinator needs of the host it runs on. The host is `request_host.ts`;
 * it knows the coordinators, and they know no more of it than this.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { DeadlineWheel } from "../environment/deadline_wheel.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import type { CoveragePace } from "./coverage_pace.ts";
import type { OperationCarrier } from "./operation_carrier.ts";
import type { RequestRoutes } from "./request_routes.ts";
import type { ToldOverloads } from "./told_overloads.ts";

/** One coordinator as its host sees it. */
export interface HostedProcess {
  /** Number of its request on the host. */
  readonly sequence: number;
  readonly alive: boolean;
  /** Bytes of the operation it holds. */
  readonly byteCount: number;
  /** Advances its state machine by `event` and carries out what it says. */
  advance(event: unknown): void;
  /** A bug was met: it answers its caller and ends. */
  crash(error: unknown): void;
}

/** What coordinators share. */
export interface ProcessHost extends AnswerTarget, OperationCarrier {
  readonly runtime: Runtime;
  readonly routes: RequestRoutes;
  readonly wheel: DeadlineWheel;
  /** What vnodes have said of their load. */
  readonly overloads: ToldOverloads;
  /** How fast coverage queries may go, if anything else must be thought of. */
  readonly coveragePace: CoveragePace | undefined;
  /** The time of the last submission or deadline: reading the clock for each step would cost more than the step. */
  nowMs: number;
  /** Effects of the step under way. */
  readonly effects: unknown[];
  /** Gives `process` an event, now or when the step under way is done. */
  deliver(process: HostedProcess, event: unknown): void;
  /** A further number under which answers come to `process`, until it is closed. */
  openSequence(process: HostedProcess): number;
  /** Nobody waits for answers under `sequence` any more. */
  closeSequence(sequence: number): void;
  /** The request has ended. */
  forget(process: HostedProcess): void;
  /** A replica that was behind is being brought up to date. */
  countRepair(): void;
}
