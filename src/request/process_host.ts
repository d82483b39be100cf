/**
 * What a coordinator needs from its host. The host is `request_host.ts`; it
 * knows the coordinators, and they know nothing else about it.
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

/** A coordinator as its host sees it. */
export interface HostedProcess {
  /** Number of its request on the host. */
  readonly sequence: number;
  readonly alive: boolean;
  /** Size of the operation it holds, in bytes. */
  readonly byteCount: number;
  /** Advances its state machine by `event` and performs the effects. */
  advance(event: unknown): void;
  /** Handles a bug: answers its caller and ends. */
  crash(error: unknown): void;
}

/** What coordinators share. */
export interface ProcessHost extends AnswerTarget, OperationCarrier {
  readonly runtime: Runtime;
  readonly routes: RequestRoutes;
  readonly wheel: DeadlineWheel;
  /** What vnodes have reported about their load. */
  readonly overloads: ToldOverloads;
  /** How fast coverage queries may go, if they must be paced. */
  readonly coveragePace: CoveragePace | undefined;
  /**
   * The time of the last submission or deadline: reading the clock in each step
   * would cost more than the step.
   */
  nowMs: number;
  /** Effects of the current step. */
  readonly effects: unknown[];
  /** Gives `process` an event, now or after the current step. */
  deliver(process: HostedProcess, event: unknown): void;
  /** Another number under which `process` receives answers, until it is closed. */
  openSequence(process: HostedProcess): number;
  /** Ends the wait for answers under `sequence`. */
  closeSequence(sequence: number): void;
  /** Removes a request that has ended. */
  forget(process: HostedProcess): void;
  /** Counts a replica that is being repaired. */
  countRepair(): void;
}
