/**
 * Deterministic simulation for applications of Whorl: your vnode module on a
 * cluster of production nodes, in one thread, on a simulated network, disk and
 * clock, all from one seed. The seed draws the faults, checks verify what was
 * promised, and a failing seed fails again the same way, event by event.
 *
 * ```ts
 * import { simulate } from "@whorl/whorl/testing";
 *
 * const { violations } = await simulate({ seed: 7, nodes: 3 });
 * if (violations.length > 0) throw new Error(violations[0]?.message);
 * ```
 *
 * `docs/simulation.md` leads from a first run to a seed kept as a test.
 *
 * @module
 */
export { simulate, type SimulateOptions } from "./simulate.ts";
export type {
  ScriptContext,
  ScriptMachine,
  SimulationScript,
  Untimed,
} from "./simulation_script.ts";
export type { SimulationResult } from "./simulation_result.ts";
export { UNDECIDED, type Violation } from "./checkers/violation.ts";
export {
  checkLinearizability,
  type LinearizabilityOptions,
  type LinearizabilityResult,
  linearizabilityViolations,
} from "./checkers/linearizability.ts";
export type { Call, Model, ModelStep } from "./checkers/model.ts";
export {
  type CasRegisterInput,
  casRegisterModel,
  type CasRegisterOutput,
  type RegisterInput,
  registerModel,
  type RegisterOutput,
  type RegisterValue,
} from "./checkers/register_model.ts";
export type { OperationOutcome, OperationRecord } from "./history.ts";
export type { FinishedRun, RunCheck, StoredValue } from "./finished_run.ts";
export type { ClusterAccess, Workload, WorkloadOperation } from "./workload.ts";
export {
  ACT_TYPES,
  CHANGE_TYPES,
  drawSchedule,
  FAULT_TYPES,
  LOG_PARTS,
  SCHEDULE_PROFILES,
  type ScheduleOptions,
  type ScheduleProfile,
} from "./schedule/draw_schedule.ts";
export type {
  ActType,
  ChangeType,
  DiskWeather,
  FaultType,
  GroupPlan,
  LeaderFault,
  LogPart,
  NetworkWeather,
  PlannedAct,
  PlannedChange,
  PlannedFault,
  Schedule,
} from "./schedule/schedule.ts";
export {
  raKvChecks,
  raKvWorkload,
  type RaKvWorkloadOptions,
} from "./raft/ra_kv_workload.ts";
export { kvChecks, kvWorkload, type KvWorkloadOptions } from "./kv_workload.ts";
export {
  Trace,
  type TraceEvent,
  traceLine,
  type TraceMessage,
} from "./trace/trace.ts";
export { RealWorldError } from "./real_world_guard.ts";
