/**
 * Supervision as Erlang has it: children that are started in order, restarted
 * by a strategy when they fall, and stopped in reverse order, be they tasks in
 * this thread, workers or subprocesses.
 *
 * @module
 */
export * from "./runtime.ts";
export * from "./manual_runtime.ts";
export * from "./exit_reason.ts";
export * from "./supervisor_error.ts";
export * from "./child.ts";
export * from "./child_spec.ts";
export * from "./restart_strategy.ts";
export * from "./restart_intensity.ts";
export * from "./supervisor.ts";
export * from "./dynamic_supervisor.ts";
export * from "./mailbox.ts";
export * from "./process.ts";
export * from "./registry.ts";
export * from "./program.ts";
export { startProgram } from "./start_program.ts";
export * from "./tree_view.ts";
